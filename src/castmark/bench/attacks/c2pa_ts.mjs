// An independent C2PA implementation's answer for each file named on standard input, a JSON line each.
// `castmark bench provenance` copies this beside a node_modules folder that holds @trustnxt/c2pa-ts.
import * as fs from 'node:fs';
import { BMFF, JPEG, PNG } from '@trustnxt/c2pa-ts/asset';
import { SuperBox } from '@trustnxt/c2pa-ts/jumbf';
import { ManifestStore } from '@trustnxt/c2pa-ts/manifest';

async function answer(file) {
    const buffer = fs.readFileSync(file);
    const Kind = [PNG, JPEG, BMFF].find(kind => kind.canRead(buffer));
    if (!Kind) return { valid: false, codes: ['no format it knows'] };
    const asset = new Kind(buffer);
    const jumbf = asset.getManifestJUMBF();
    if (!jumbf) return { valid: false, codes: ['no manifest'] };
    const store = ManifestStore.read(SuperBox.fromBuffer(jumbf));
    const result = await store.validate(asset);
    return { valid: result.isValid, codes: result.statusEntries.filter(e => !e.success).map(e => e.code) };
}

for (const file of fs.readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
    let said;
    try {
        said = await answer(file);
    } catch (error) {
        said = { valid: false, codes: [`threw: ${error.message ?? error}`] };
    }
    console.log(JSON.stringify({ file, ...said }));
}
