// BullMQ, on Node: what speaking.py is for the others, in its own language. `node bullmq.cjs` answers orders,
// `node bullmq.cjs work` is a worker.
"use strict";

const fs = require("node:fs");
const readline = require("node:readline");
const { Queue, Worker } = require("bullmq");

const SETTINGS =
  "`new Worker` with `concurrency` 100 (default 1), jobs kept when they have ended (default), `addBulk` in bulk, all " +
  "else at its default; Node, so its handlers are JavaScript.";
const PAYLOAD = { recipient: "user@example.com", subject: "Welcome!", body: "x".repeat(64) };
const SENT = { status: "sent" };
const [SLOW_MS, LOOK_EVERY_MS, GRACE_S, LONG_GRACE_S] = [5000, 10, 1, 10];
const [LAST, TAIL, STEP, BULK] = [16, 1024, 8, 1000];
const IN_FLIGHT = Number(process.env.BENCH_IN_FLIGHT || 100);
const url = new URL(process.env.BENCH_URL || "redis://127.0.0.1:6379/0");
const connection = { host: url.hostname, port: Number(url.port) };

const now = () => Number(process.hrtime.bigint()) / 1e9; // CLOCK_MONOTONIC, as in Python
const pause = (ms) => new Promise((resume) => setTimeout(resume, ms));

let stamps;
let hasBegun = false;
function stamp(word, key = "-") {
  const line = `${word} ${key} ${process.pid} ${now().toFixed(6)}\n`;
  stamps ??= fs.openSync(process.env.BENCH_STAMPS, "a");
  fs.writeSync(stamps, line);
}
function begin() {
  if (!hasBegun) {
    hasBegun = true;
    stamp("first");
  }
}

const HANDLERS = {
  send_email: async () => begin(),
  note: async (payload) => stamp("ran", payload.subject),
  sleep: async (payload) => {
    begin();
    await pause(Number(payload.subject) * 1000);
  },
  slow: async (payload) => {
    stamp("began", payload.subject);
    await pause(SLOW_MS);
    stamp("ended", payload.subject);
  },
};

function work() {
  const worker = new Worker(
    "bench",
    async (job) => {
      await HANDLERS[job.name](job.data);
      return SENT;
    },
    { connection, concurrency: IN_FLIGHT },
  );
  worker.on("error", (error) => console.error(error.message));
}

const queue = process.argv[2] === "work" ? null : new Queue("bench", { connection });
let handles = [];

async function timed(put) {
  const [began, cpu] = [now(), process.cpuUsage()];
  const put_in = await put(began);
  const [seconds, used] = [now() - began, process.cpuUsage(cpu)];
  for (const job of put_in) handles.push(job);
  return { number: put_in.length, seconds, cpu_seconds: (used.user + used.system) / 1e6 };
}

async function endsOf(jobs, grace_s) {
  let [last_s, late, late_s, isFirst] = [now(), 0, 0, true];
  while (jobs.length && now() - last_s < grace_s) {
    const waiting = [];
    for (const job of jobs) {
      if (!(await job.isCompleted())) {
        waiting.push(job);
        continue;
      }
      last_s = now();
      if (!isFirst) late_s = last_s;
    }
    if (isFirst) late = waiting.length;
    [jobs, isFirst] = [waiting, false];
    if (jobs.length) await pause(LOOK_EVERY_MS);
  }
  return { last_s, late, late_s };
}

const ORDERS = {
  async describe() {
    const workers = [[process.execPath, __filename, "work"]];
    const packages = ["bullmq", "ioredis"].map((name) => [name, require(`${name}/package.json`).version]);
    const versions = { node: process.versions.node, ...Object.fromEntries(packages) };
    return { settings: SETTINGS, versions, in_bulk: true, lines: "coroutines", workers, workers_with_delays: workers };
  },
  async one({ kind, subject, delay_s = 0 }) {
    const asked_s = now();
    await queue.add(kind, { ...PAYLOAD, subject }, delay_s ? { delay: Math.round(delay_s * 1000) } : {});
    return { asked_s };
  },
  enqueue({ kind, number = 0, seconds = 0, lines = 1, subject = PAYLOAD.subject }) {
    return timed(async (began) => {
      const until = seconds ? began + seconds : Infinity;
      const line = async (share) => {
        const jobs = [];
        while (jobs.length < share && now() < until) jobs.push(await queue.add(kind, { ...PAYLOAD, subject }));
        return jobs;
      };
      const shares = Array.from({ length: lines }, (_, at) =>
        number ? Math.floor(number / lines) + (at < number % lines ? 1 : 0) : Infinity,
      );
      return (await Promise.all(shares.map(line))).flat();
    });
  },
  enqueue_many({ kind, number = 0, seconds = 0, subject = PAYLOAD.subject }) {
    return timed(async (began) => {
      const until = seconds ? began + seconds : Infinity;
      const jobs = [];
      while (now() < until && (!number || jobs.length < number)) {
        const few = number ? Math.min(BULK, number - jobs.length) : BULK;
        const asked = Array.from({ length: few }, () => ({ name: kind, data: { ...PAYLOAD, subject } }));
        for (const job of await queue.addBulk(asked)) jobs.push(job);
      }
      return jobs;
    });
  },
  async wait({ patience_s }) {
    const [last, deadline] = [handles.slice(-LAST), now() + patience_s];
    for (let looks = 1; !(await last.at(-looks).isCompleted()); looks = (looks % last.length) + 1) {
      if (now() > deadline) throw new Error(`none of the last of ${handles.length} tasks ended within ${patience_s} s`);
      await pause(LOOK_EVERY_MS);
    }
    const some = handles.slice(-TAIL).filter((_, at) => at % STEP === 0);
    return { ended_s: (await endsOf([...last, ...some], GRACE_S)).last_s };
  },
  async check() {
    const step = Math.max(1, Math.floor(handles.length / 1000));
    const some = handles.filter((_, at) => at % step === 0);
    handles = [];
    const { late, late_s } = await endsOf(some, LONG_GRACE_S);
    return { late, late_s, looked_at: some.length };
  },
};

async function serve() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    let answer;
    try {
      answer = await ORDERS[order.do](order);
    } catch (error) {
      answer = { error: String(error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit(0);
}

if (process.argv[2] === "work") work();
else serve();
