// Keeps the page's files, so that it works without a network from the second visit on. `make page` fills in the table;
// a file whose hash isn't the one in it isn't kept, and the page then goes on needing the network.

const FILES = {}; // path: its hash, as in an integrity attribute
const NAME = "ser-edge-page ";
const CACHE = NAME + "version";

self.addEventListener("install", (event) => event.waitUntil(keep()));
self.addEventListener("activate", (event) => event.waitUntil(forget()));
self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && path(event.request.url) in FILES) event.respondWith(answer(event.request));
});

async function keep() {
  const cache = await caches.open(CACHE);
  const requests = Object.entries(FILES).map(
    ([name, integrity]) => new Request(name, { cache: "no-cache", integrity }),
  );
  await cache.addAll(requests);
}

async function forget() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(NAME) && name !== CACHE).map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(new URL(path(request.url), self.registration.scope))) ?? fetch(request);
}

/** The file's path in the table. */
function path(address) {
  const { scope } = self.registration;
  const place = address.startsWith(scope) ? address.slice(scope.length).replace(/[?#].*/, "") : address;
  return place === "" ? "index.html" : place;
}
