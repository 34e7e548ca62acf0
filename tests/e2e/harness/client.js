// A gRPC client on @grpc/grpc-js. usage: client.js ADDRESS SCENARIO < JSON; prints what came of it as JSON.
'use strict';
const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [, , address, scenario] = process.argv;
const args = JSON.parse(fs.readFileSync(0));
const insecure = grpc.credentials.createInsecure();
const schema = path.join(__dirname, '..', '..', '..', 'schema', 'proto');

function load(file) {
  const options = { keepCase: true, longs: Number, enums: String, includeDirs: [schema] };
  return grpc.loadPackageDefinition(loader.loadSync(file, options));
}

function metadata(fields) {
  const m = new grpc.Metadata();
  for (const [k, v] of Object.entries(fields || {})) m.set(k, k.endsWith('-bin') ? Buffer.from(v) : v);
  return m;
}

function commands(options) {
  return new (load('command.proto').aggregate.gateway.v1.CommandService)(address, insecure, options);
}

function options(o) {
  return o.timeout_ms === undefined ? {} : { deadline: Date.now() + o.timeout_ms };
}

// One call; the answer, or the status that it ended with.
function submit(client, o) {
  const request = { ...o.request, payload: Buffer.from(o.request.payload || '{}') };
  return new Promise((resolve) => {
    const call = client.SubmitCommand(request, metadata(o.metadata), options(o), (error, answer) =>
      resolve(error ? { code: error.code, details: error.details } : { code: 0, answer }));
    if (o.cancel_after_ms !== undefined) setTimeout(() => call.cancel(), o.cancel_after_ms);
  });
}

const scenarios = {
  submit: () => submit(commands(args.channel), args),

  // n calls at a time on one channel
  async many() {
    const client = commands(), calls = [];
    for (let i = 0; i < args.n; i++)
      calls.push(submit(client, { ...args, request: { ...args.request, command_id: `c${i}` } }));
    return (await Promise.all(calls)).map((r) => r.answer ? r.answer.command_id : r);
  },

  // the states that Watch tells, and how it ends
  watch() {
    const client = new (load('grpc/health/v1/health.proto').grpc.health.v1.Health)(address, insecure);
    const told = [];
    return new Promise((resolve) => {
      const call = client.Watch({ service: args.service || '' }, options(args));
      call.on('data', (m) => {
        told.push(m.status);
        process.stderr.write(`${m.status}\n`);
      });
      call.on('error', (e) => resolve({ told, code: e.code }));
    });
  },

  // makes a call from nothing but what reflection tells
  async reflect() {
    const { GrpcReflection } = require('grpc-js-reflection-client');
    const reflection = new GrpcReflection(address, insecure, {}, args.version);
    const services = await reflection.listServices();
    const methods = {};
    for (const s of services) methods[s] = (await reflection.listMethods(s)).map((m) => m.name);
    const found = await reflection.getDescriptorBySymbol('aggregate.gateway.v1.CommandService');
    const Service = found.getPackageObject({ keepCase: true, longs: Number }).aggregate.gateway.v1.CommandService;
    return { services, methods, result: await submit(new Service(address, insecure), args) };
  },
};

scenarios[scenario]().then((result) => {
  console.log(JSON.stringify(result));
  process.exit(0);
});
