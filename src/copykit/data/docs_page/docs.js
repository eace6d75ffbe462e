"use strict";

// Every route stands under two prefixes: the page shows those of its own, and calls them where it was opened.
(async () => {
  const home = location.pathname.replace(/\/docs$/, "");
  const prefix = home.endsWith("/copywriting") ? "/copywriting" : "";
  const place = document.getElementById("routes");
  let spec;
  try {
    const answer = await fetch("openapi.json");
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    spec = await answer.json();
  } catch (error) {
    place.textContent = `openapi.json cannot be read: ${error.message}`;
    return;
  }
  const own = (path) => path.startsWith("/copywriting/") === (prefix !== "") && !path.includes("/docs");
  spec.paths = Object.fromEntries(Object.entries(spec.paths).filter(([path]) => own(path)));
  const above = home.slice(0, home.length - prefix.length);
  if (above) spec.servers = [{ url: above }]; // where a proxy gave the service a place below its own root
  place.textContent = "";
  SwaggerUIBundle({
    spec,
    domNode: place,
    deepLinking: true,
    validatorUrl: null,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
  });
})();
