/**
 * `grpc.reflection.v1` and, word for word the same, `v1alpha`, which older tools ask for: the descriptors of what this
 * server speaks, for grpcurl and its like. They are those of proto/ and tell nothing of models.
 */
import { create, type DescFile, type DescService, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { frame } from './framing.ts';
import {
  ServerReflection,
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  ServerReflectionResponseSchema,
} from './gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from './gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { decode, pathOf } from './inference-methods.ts';
import type { Method, StreamMethod } from './method.ts';

type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>['messageResponse']>;

const NOT_FOUND = 5;
const UNIMPLEMENTED = 12;

export function reflectionMethods(services: readonly DescService[]): Map<string, Method> {
  const described = [...services, ServerReflection, ServerReflectionAlpha];
  const method = reflectionMethod(described);
  return new Map<string, Method>([
    [pathOf(ServerReflection.method.serverReflectionInfo), method],
    [pathOf(ServerReflectionAlpha.method.serverReflectionInfo), method],
  ]);
}

function reflectionMethod(services: readonly DescService[]): StreamMethod {
  const files = new Map(services.map(({ file }) => [`${file.name}.proto`, file]));
  const answerTo = ({ messageRequest: { case: asked, value } }: ServerReflectionRequest): Answer => {
    switch (asked) {
      case 'listServices': {
        const service = services.map(({ typeName: name }) => ({ name }));
        return { case: 'listServicesResponse', value: { service } };
      }
      case 'fileByFilename': {
        const file = files.get(value);
        return file === undefined ? failed(NOT_FOUND, `there is no file ${shown(value)}`) : descriptors(file);
      }
      case 'fileContainingSymbol': {
        const file = [...files.values()].find((each) => symbolsOf(each).has(value));
        return file === undefined ? failed(NOT_FOUND, `there is no symbol ${shown(value)}`) : descriptors(file);
      }
      case 'fileContainingExtension':
      case 'allExtensionNumbersOfType':
        return failed(NOT_FOUND, 'there are no extensions');
      default:
        return failed(UNIMPLEMENTED, 'this is not something that reflection is asked for');
    }
  };
  return {
    kind: 'stream',
    access: 'public',
    open: (call) => ({
      message(bytes) {
        const request = decode(ServerReflectionRequestSchema, bytes);
        const response = create(ServerReflectionResponseSchema, {
          validHost: request.host,
          originalRequest: request,
          messageResponse: answerTo(request),
        });
        call.send(frame(toBinary(ServerReflectionResponseSchema, response)));
        return undefined;
      },
      ended: () => call.finish(),
      isQuiet: true,
    }),
  };
}

/** No file of ours imports another. */
function descriptors({ proto }: DescFile): Answer {
  return {
    case: 'fileDescriptorResponse',
    value: { fileDescriptorProto: [toBinary(FileDescriptorProtoSchema, proto)] },
  };
}

/** Full names of everything in a file: services, methods, messages and their fields, enumerations. */
function symbolsOf(file: DescFile): ReadonlySet<string> {
  let symbols = symbolsByFile.get(file);
  if (symbols === undefined) {
    const found = new Set<string>();
    for (const { typeName, methods } of file.services) {
      found.add(typeName);
      for (const { name } of methods) found.add(`${typeName}.${name}`);
    }
    const messages = [...file.messages];
    for (let message = messages.pop(); message !== undefined; message = messages.pop()) {
      found.add(message.typeName);
      for (const { name } of message.fields) found.add(`${message.typeName}.${name}`);
      for (const { typeName } of message.nestedEnums) found.add(typeName);
      messages.push(...message.nestedMessages);
    }
    for (const { typeName } of file.enums) found.add(typeName);
    symbols = found;
    symbolsByFile.set(file, symbols);
  }
  return symbols;
}
const symbolsByFile = new WeakMap<DescFile, ReadonlySet<string>>();

function failed(errorCode: number, errorMessage: string): Answer {
  return { case: 'errorResponse', value: { errorCode, errorMessage } };
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 200));
}
