// What the page's code does against a served project; prints what came of it.
import { type Api, Refused, add, all, explain, rename, signIn } from "./api";
import { follow, signIn as signInLive, titles, upload } from "./live";

declare const process: { argv: string[] };

async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof Refused) return explain(error);
    throw error;
  }
  return "not refused";
}

async function listed(api: Api): Promise<string[]> {
  const found: string[] = [];
  for await (const { title } of all(api, 2)) found.push(title);
  return found;
}

async function heard(api: Api): Promise<string[]> {
  const stop = new AbortController();
  const events: string[] = [];
  const following = follow((event) => {
    events.push(event);
    stop.abort();
  }, stop.signal);
  // Only what happens once the stream is open is heard.
  while (!stop.signal.aborted) {
    await add(api, { title: "Harbour" });
    await new Promise((done) => setTimeout(done, 100));
  }
  await following;
  return events;
}

async function main() {
  const [url, email, password] = process.argv.slice(2);
  const api = await signIn(url, email, password);
  const { note } = await add(api, { title: "Tide" }, "clients-1");
  const again = await add(api, { title: "Tide" }, "clients-1");
  for (const title of ["Buoy", "Anchor"]) await add(api, { title, tags: ["gear"] });
  await signInLive(url, email, password);
  console.log(
    JSON.stringify({
      sameNote: again.note.id === note.id && again.repeated,
      listed: await listed(api),
      titles: await titles(),
      wrongPassword: await refusal(signIn(url, email, "wrong")),
      reused: await refusal(add(api, { title: "Other" }, "clients-1")),
      invalid: await refusal(add(api, { title: "" })),
      renamed: (await rename(api, note, "Tides"))?.version,
      stale: await rename(api, note, "Tides again"),
      heard: await heard(api),
      imported: (await upload(new Blob(["title\nMole\n"]))).rows === 1,
    }),
  );
}

void main();
