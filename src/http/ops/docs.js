// Addresses are relative to the page, so that it also works behind a proxy that serves it under a prefix.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  // Otherwise a stranger's server would be asked for its opinion.
  validatorUrl: null,
});
