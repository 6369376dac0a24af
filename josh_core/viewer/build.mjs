// Bundles src/ and three.js into viewer.bundle.js. Run: npm install && npm run build (in this folder).
// The first line of the bundle carries a hash of src/, so that a test can tell when the bundle is out of date.
import { createHash } from 'node:crypto';
import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const hash = createHash('sha256');
for (const name of readdirSync(join(here, 'src')).sort()) hash.update(readFileSync(join(here, 'src', name)));

await build({
  entryPoints: [join(here, 'src/viewer.js')],
  outfile: join(here, 'viewer.bundle.js'),
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  loader: { '.css': 'text' },
  legalComments: 'none',
  banner: { js: `/* sources ${hash.digest('hex').slice(0, 16)}; three.js 0.187.0 inside, MIT, see THREE-LICENSE */` },
});
copyFileSync(join(here, 'node_modules/three/LICENSE'), join(here, 'THREE-LICENSE'));
