// Shows openapi.json, and lets one try what it describes. Text is only ever set as text.

const api = await (await fetch('/openapi.json')).json();
const token = document.querySelector('#token');

/** An element with properties and children. */
function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

const json = (value) => make('pre', { textContent: JSON.stringify(value, null, 2) });

for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    document.querySelector('#operations').append(describe(path, method, operation));
  }
}
for (const [name, schema] of Object.entries(api.components.schemas)) {
  const summary = make('summary', {}, make('code', { textContent: name }));
  document.querySelector('#schemas').append(make('details', { id: `schema-${name}` }, summary, json(schema)));
}

function describe(path, method, operation) {
  const summary = make('summary', {},
    make('span', { className: 'method', textContent: method }),
    make('code', { textContent: path }), ` ${operation.summary}`);
  const rows = Object.entries(operation.responses).map(([status, response]) =>
    make('tr', {}, make('td', { textContent: status }), make('td', { textContent: response.description })));
  return make('details', { id: operation.operationId }, summary,
    make('p', { textContent: operation.description }),
    form(path, method, operation), make('table', {}, ...rows));
}

function form(path, method, operation) {
  const inputs = (operation.parameters ?? []).map((parameter) => {
    const input = make('input', { required: parameter.required === true });
    return { parameter, input, label: make('label', {}, `${parameter.name} (${parameter.in}) `, input) };
  });
  const content = operation.requestBody?.content['application/json'];
  const body = content && make('textarea', { value: '{}', spellcheck: false });
  const answer = make('div');
  const element = make('form', {}, ...inputs.map((one) => one.label));
  if (body) element.append(schemaLink(content.schema), body);
  element.append(make('button', { textContent: 'Send' }), answer);
  element.addEventListener('submit', async (event) => {
    event.preventDefault();
    answer.replaceChildren(await send(path, method, inputs, body));
  });
  return element;
}

function schemaLink(schema) {
  const name = schema.$ref?.split('/').at(-1);
  return name ? make('a', { href: `#schema-${name}`, textContent: name }) : json(schema);
}

async function send(path, method, inputs, body) {
  const url = new URL(path, location.origin);
  const headers = new Headers();
  if (token.value) headers.set('Authorization', `Bearer ${token.value}`);
  if (body) headers.set('Content-Type', 'application/json');
  let filled = path;
  for (const { parameter, input } of inputs) {
    if (parameter.in === 'path') filled = filled.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (parameter.in === 'query' && input.value) url.searchParams.set(parameter.name, input.value);
    else if (parameter.in === 'header' && input.value) headers.set(parameter.name, input.value);
  }
  url.pathname = filled;
  try {
    const response = await fetch(url, { method: method.toUpperCase(), headers, body: body?.value });
    const text = await response.text();
    const etag = response.headers.get('ETag');
    const shown = /json$/.test(response.headers.get('Content-Type') ?? '') ? JSON.stringify(JSON.parse(text), null, 2) : text;
    return make('pre', { textContent: `${response.status} ${etag ?? ''}\n${shown}` });
  } catch (error) {
    return make('pre', { textContent: String(error) });
  }
}
