// A SCIM service on loopback out of `scimmy` and `scimmy-routers`: users in memory, bearer token "sandbox".
//
//     node scimmy.cjs FOLDER [--no-patch]
//
// FOLDER is where `.ci/scim-servers` installed the packages. The port is the first line of the output. All that stands
// here is what scimmy asks of whoever uses it: to store, find and remove users. Schemas, paths, filters, PatchOps and
// errors are scimmy's own.
"use strict";

const { createRequire } = require("node:module");
const path = require("node:path");

const installed = createRequire(path.join(path.resolve(process.argv[2]), "package.json"));
const express = installed("express");
const { default: SCIMMY = installed("scimmy") } = installed("scimmy");
const { default: SCIMMYRouters = installed("scimmy-routers") } = installed("scimmy-routers");

const users = new Map();
let writes = 0;

function found(id) {
    if (!users.has(id)) throw new SCIMMY.Types.Error(404, null, `no user ${id}`);
    return users.get(id);
}

function ingress(resource, data) {
    const known = resource.id ? found(resource.id) : undefined;
    for (const other of users.values()) {
        if (other !== known && other.userName.toLowerCase() === data.userName.toLowerCase()) {
            throw new SCIMMY.Types.Error(409, "uniqueness", "userName is taken");
        }
    }
    // Each write shows in the user that it wrote.
    writes += 1;
    const at = new Date(Date.UTC(2026, 0, 1) + writes * 1000).toISOString();
    const plain = JSON.parse(JSON.stringify(data));
    const id = known?.id ?? String(writes);
    const meta = { created: known?.meta.created ?? at, lastModified: at };
    users.set(id, { ...plain, id, meta });
    return users.get(id);
}

function egress(resource) {
    if (resource.id) return found(resource.id);
    const all = [...users.values()];
    return resource.filter ? resource.filter.match(all) : all;
}

function degress(resource) {
    found(resource.id);
    users.delete(resource.id);
}

SCIMMY.Resources.declare(SCIMMY.Resources.User, {
    ingress,
    egress,
    degress,
    extensions: [{ schema: SCIMMY.Schemas.EnterpriseUser, required: false }],
});

const app = express();
app.use("/scim", new SCIMMYRouters({
    type: "bearer",
    handler: (request) => {
        if (request.header("authorization") !== "Bearer sandbox") throw new Error("no such token");
        return "rosterd";
    },
}));
// Only now: the routers say that there is PATCH whatever was set before.
SCIMMY.Config.set({ patch: !process.argv.includes("--no-patch"), filter: true });
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
// Whoever started this holds the other end: when they are gone, so is the server.
process.stdin.on("end", () => process.exit(0)).resume();
