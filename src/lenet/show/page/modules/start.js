// The same program is the page's and its worker's: where there is no document, it works.

import { startPage } from "./page.js";
import { startWorker } from "./worker.js";

if (typeof document === "undefined") startWorker();
else startPage();
