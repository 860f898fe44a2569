/** `node cuda-devices.ts DRIVER`: how many GPUs the CUDA driver counts, as JSON; or why it counts none. */
import { countDevices, openDriver } from '../trainers/xgboost/cuda-driver.ts';

const [driver = ''] = process.argv.slice(2);
process.stdout.write(JSON.stringify(countDevices(() => openDriver(driver))));
