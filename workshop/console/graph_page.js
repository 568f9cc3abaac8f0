'use strict';
// What is shown comes from the events alone, and goes into the page as text (`textContent`), never as markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const SVG = 'http://www.w3.org/2000/svg';
  const MANY = 0.05;
  const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const fill = (element, attributes, children) => {
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
    return element;
  };
  const make = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
  const draw = (name, attributes = {}, ...children) => fill(document.createElementNS(SVG, name), attributes, children);
  let told = null, shown = '', ahead = 0;

  // --- Words

  const percent = (share) => share === null ? '?' : share > 0 && share < 0.0005 ? '<0.1 %' : (share * 100).toFixed(1).replace(/\.0$/, '') + ' %';
  const roughly = (share) => share >= 0.0995 ? `${Math.round(share * 100)} %` : percent(share);
  const rate = (number) => (number >= 100 ? Math.round(number).toLocaleString('en') : number >= 0.95 ? number.toFixed(1) : number.toFixed(2)) + '/s';
  const brief = (number) => number >= 10 ? Math.round(number).toLocaleString('en') + '/s' : rate(number);
  const bytes = (number) => {
    const units = ['B/s', 'kB/s', 'MB/s', 'GB/s'];
    let place = 0;
    for (; number >= 1000 && place < 3; place += 1) number /= 1000;
    return `${number >= 10 ? Math.round(number) : number.toFixed(1)} ${units[place]}`;
  };
  const time = (seconds) => seconds === null ? '' : seconds < 0.0095 ? `${(seconds * 1000).toFixed(1)} ms`
    : seconds < 0.9995 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(2)} s`;
  const kind = (edge) => edge.rate ? (edge.errors >= MANY ? 'many' : edge.errors ? 'some' : 'fine') : edge.bytes ? 'tcp' : 'idle';

  // --- The graph

  const NARROWEST = 132, WIDEST = 300, FARTHEST = 240, TURN = 22;  // px: of a box, of the room between two, and of a line to turn in
  const LINE = 19, HEAD = 46, LANE = 26, BETWEEN = 12, EDGE = 14;
  const pen = document.createElement('canvas').getContext('2d');
  const family = getComputedStyle(document.body).fontFamily;
  const width = (text, weight, size) => { pen.font = `${weight} ${size}px ${family}`; return pen.measureText(text).width; };
  // In the middle: what names of versions differ in is at their ends.
  const cut = (text, room, weight, size) => {
    if (width(text, weight, size) <= room) return text;
    let length = text.length - 1;
    const short = () => text.slice(0, Math.ceil(length * 0.6)) + '…' + text.slice(text.length - Math.floor(length * 0.4));
    while (length > 1 && width(short(), weight, size) > room) length -= 1;
    return short();
  };
  const inside = (node) => (node.split ? 1 : 0) + node.marks.length;
  const sign = (notes) => notes.some((note) => note.endsWith('I)')) ? ' ⚡' : notes.some((note) => note.endsWith('(UO)')) ? ' ⊘' : notes.length ? ' !' : '';
  const figures = (node, room) => {
    if (!node.rate) return '';
    const long = `${brief(node.rate)} in` + (node.errors ? `, ${percent(node.errors)} errors` : '');
    return width(long, 400, 13) <= room ? long : brief(node.rate) + (node.errors ? ` · ${roughly(node.errors)}` : '');
  };
  // What stands at a line: two texts, and how wide they are.
  const label = (edge) => {
    const rated = kind(edge) !== 'tcp', words = rated ? brief(edge.rate) + (edge.errors ? ` · ${roughly(edge.errors)}` : '') : bytes(edge.bytes);
    const below = rated && edge.p99 !== null ? time(edge.p99) + sign(edge.notes) : sign(edge.notes).trim();
    return { words, below, wide: Math.max(width(words, 650, 13), width(below, 650, 13)) };
  };
  const overlap = (one, other) => one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];

  const graph = () => {
    const svg = byId('drawing');
    byId('empty').hidden = told.nodes.length > 0;
    put(byId('empty'), told.missing || told.nothing);
    svg.toggleAttribute('hidden', !told.nodes.length);
    if (!told.nodes.length) return;
    const drawn = told.edges.filter((edge) => edge.from !== edge.to);
    const labels = new Map(drawn.filter((edge) => kind(edge) !== 'idle').map((edge) => [edge, label(edge)]));
    const gap = Math.max(90, ...[...labels.values()].map(({ wide }) => wide + TURN + 8));
    const room = byId('graph').clientWidth - 18, columns = told.columns;
    const widest = Math.max(...told.nodes.map((node) => Math.max(width(node.name, 650, 14), width(figures(node, Infinity), 400, 13)) + 22));
    const box = Math.max(NARROWEST, Math.min(WIDEST, widest, (room - 2 * EDGE + gap) / columns - gap));
    const step = columns > 1 ? Math.min(Math.max((room - 2 * EDGE - box) / (columns - 1), box + gap), Math.max(box + FARTHEST, box + gap)) : 0;
    const full = Math.max(box + 2 * EDGE + step * (columns - 1), room);
    const lanes = [];
    for (const [name, first, rows] of told.lanes) {
      const most = Math.max(...told.nodes.filter((node) => node.at[1] >= first && node.at[1] < first + rows).map(inside));
      const before = lanes.length ? lanes[lanes.length - 1] : { end: -BETWEEN }, row = HEAD + LINE * most + 26;
      lanes.push({ name, first, rows, row, top: before.end + BETWEEN, end: before.end + BETWEEN + LANE + rows * row });
    }
    const height = lanes[lanes.length - 1].end;
    const x = (column) => EDGE + column * step;
    const middle = (y) => {
      const lane = lanes.filter(({ first }) => y >= first - 0.01).pop();
      return lane.top + LANE + (y - lane.first + 0.5) * lane.row - 6;
    };
    const at = new Map(told.nodes.map((node) => [node.id, node]));
    const parts = lanes.map(({ name, top, end }) => draw('g', {},
      draw('rect', { class: 'lane', x: 0, y: top, width: full, height: end - top, rx: 8 }),
      draw('text', { class: 'lane-name', x: 10, y: top + 19 }, name)));
    const out = new Map(), into = new Map();
    for (const edge of drawn) {
      for (const [met, id] of [[out, edge.from], [into, edge.to]]) met.set(id, [...met.get(id) || [], edge]);
    }
    // Lines that end at one box do so below each other, in the order of where they come from.
    const beside = (edge) => {
      const before = (one) => one.via.length ? one.via[one.via.length - 1][1] : at.get(one.from).at[1];
      const back = (one) => at.get(one.to).at[0] < at.get(one.from).at[0];
      return into.get(edge.to).filter((one) => back(one) === back(edge)).sort((one, other) => before(one) - before(other));
    };
    // Lines turn in a narrow part of the room between two columns, so that what stands at them stands at a straight one.
    const taken = told.nodes.map((node) => {
      const half = (HEAD + LINE * inside(node)) / 2;
      return [x(node.at[0]), middle(node.at[1]) - half, x(node.at[0]) + box, middle(node.at[1]) + half];
    });
    const turns = [], places = new Map(), AROUND = [-6, 16], ABOVE = [-21, -6], BELOW = [16, 31];
    for (const edge of drawn) {
      const from = at.get(edge.from), to = at.get(edge.to), forth = from.at[0] < to.at[0], tip = forth ? 1 : -1;
      const begin = [x(from.at[0]) + (forth ? box : 0), middle(from.at[1])];
      const met = beside(edge), port = met.indexOf(edge), end = [x(to.at[0]) + (forth ? -9 : box + 9), middle(to.at[1]) + (port - (met.length - 1) / 2) * Math.min(9, 30 / met.length)];
      const points = [begin, ...edge.via.flatMap(([column, y]) => [[x(column), middle(y)], [x(column) + box, middle(y)]].sort((one, other) => tip * (one[0] - other[0]))), end];
      // It is told of at the end where fewer lines meet.
      const late = out.get(edge.from).length >= into.get(edge.to).length, turn = Math.max(TURN, step - box - gap + TURN);
      const bend = (one, other) => {
        const [first, last] = late ? [one[0], one[0] + turn * tip] : [other[0] - turn * tip, other[0]], half = (first + last) / 2;
        if (one[1] !== other[1]) turns.push([Math.min(first, last) + 6, Math.min(one[1], other[1]), Math.max(first, last) - 6, Math.max(one[1], other[1])]);
        return `L ${first} ${one[1]} C ${half} ${one[1]} ${half} ${other[1]} ${last} ${other[1]} L ${other.join(' ')}`;
      };
      const path = `M ${begin.join(' ')} ` + points.slice(1).map((point, place) => place % 2 ? `L ${point.join(' ')}` : bend(points[place], point)).join(' ');
      const sort = kind(edge);
      parts.push(draw('path', { class: `edge ${sort}`, d: path },
        draw('title', {}, `${edge.names[0]} to ${edge.names[1]}: ${said(edge)}`)));
      parts.push(draw('path', { class: `tip ${sort}`, d: `M ${end[0] + 9 * tip} ${end[1]} l ${-10 * tip} -5 v 10 z` }));
      const atEnd = met.length === 1 ? AROUND : port === 0 ? ABOVE : port === met.length - 1 ? BELOW : null;
      const ends = [[end[0] - 8 * tip, end[1], -tip, atEnd], [begin[0] + 8 * tip, begin[1], tip, AROUND]];
      places.set(edge, (late ? ends : ends.reverse()).filter((one) => one[3]));
    }
    // What fails is told of first; what has no room left is in the table, and where the mouse is on a line.
    for (const [edge, { words, below, wide }] of [...labels].sort(([one], [other]) => other.errors - one.errors)) {
      const found = places.get(edge).map(([left, y, side, rows]) => {
        const here = [side > 0 ? left : left - wide, y + rows[0] - 11, side > 0 ? left + wide : left, y + rows[1] + 3];
        const crossed = turns.filter((turn) => overlap(turn, here)).length;
        return { left, side, here, rows: rows.map((row) => y + row), worth: taken.some((other) => overlap(other, here)) || crossed > 1 ? Infinity : crossed };
      }).reduce((one, other) => other.worth < one.worth ? other : one);
      if (found.worth === Infinity) continue;
      taken.push(found.here);
      const anchor = found.side > 0 ? 'start' : 'end';
      parts.push(draw('text', { class: 'label' + (edge.errors >= MANY ? ' bad' : ''), x: found.left, y: found.rows[0], 'text-anchor': anchor }, words));
      if (below) parts.push(draw('text', { class: 'label', x: found.left, y: found.rows[1], 'text-anchor': anchor }, draw('tspan', { class: edge.notes.length ? 'noted' : 'slow' }, below)));
    }
    parts.push(...told.nodes.map((node) => {
      const high = HEAD + LINE * inside(node), left = x(node.at[0]), top = middle(node.at[1]) - high / 2;
      const sort = node.rate ? (node.errors >= MANY ? 'many' : node.errors ? 'some' : 'fine') : 'idle', below = figures(node, box - 20);
      const lines = [
        draw('title', {}, node.name),
        draw('rect', { class: `box ${sort}` + (node.service ? ' service' : '') + (node.outside ? ' outside' : ''), x: left, y: top, width: box, height: high, rx: 7 }),
        draw('text', { class: 'title', x: left + 11, y: top + (below ? 20 : 28) }, cut(node.name, box - 20, 650, 14)),
        draw('text', { class: 'figures', x: left + 11, y: top + 38 }, below),
      ];
      let y = top + HEAD;
      if (node.split) {
        const [weight, measured, , , odd] = node.split, long = box - 92;
        lines.push(draw('rect', { class: 'track', x: left + 11, y: y + 1, width: long, height: 8, rx: 3 }),
          draw('rect', { class: 'share' + (odd ? ' odd' : ''), x: left + 11, y: y + 1, width: Math.max(0, Math.min(1, measured || 0)) * long, height: 8, rx: 3 }),
          draw('line', { class: 'tick', x1: left + 11 + weight * long, x2: left + 11 + weight * long, y1: y - 2, y2: y + 12 }),
          draw('text', { class: 'figures', x: left + box - 10, y: y + 10, 'text-anchor': 'end' }, measured === null ? `weight ${Math.round(weight * 100)}` : percent(measured)));
        y += LINE;
      }
      for (const [sort, words, bad] of node.marks) {
        const text = (sort === 'fault' ? '⚡ ' : sort === 'ejected' ? '⏏ ' : '⊘ ') + words.replace(/^(fault|breaker open|breaker): /, '').replace(/ \(.*\)$/, '').replace(' for ', ', ');
        lines.push(draw('text', { class: `mark ${sort}` + (bad ? ' bad' : ''), x: left + 11, y: y + 10 }, draw('title', {}, words), cut(text, box - 20, bad ? 650 : 400, 13)));
        y += LINE;
      }
      return draw('g', {}, ...lines);
    }));
    fill(svg, { width: full, height, viewBox: `0 0 ${full} ${height}` }, []);
    svg.replaceChildren(...parts);
  };
  const said = (edge) => [edge.rate ? rate(edge.rate) : edge.bytes ? bytes(edge.bytes) : 'idle', edge.rate && `${percent(edge.errors)} errors`,
    edge.p99 !== null && edge.rate && `P99 ${time(edge.p99)}`, ...edge.notes].filter(Boolean).join(', ');

  // --- Beside it

  const splits = () => {
    byId('splits').hidden = !told.splits.length;
    byId('splits').lastElementChild.replaceChildren(...told.splits.map(({ name, when, calls, parts }) => {
      const odd = parts.some((part) => part[5]);
      return make('li', {}, make('h3', {}, name, ' ', make('span', {}, [when, `${calls.toLocaleString('en')} calls`].filter(Boolean).join(', '))),
        make('table', {}, make('tbody', {}, ...parts.map(([label, weight, measured, , , off]) => {
          const bar = make('div');
          if (measured !== null) {
            const share = make('i', off ? { class: 'odd' } : {});
            share.style.width = `${Math.min(1, measured) * 100}%`;
            bar.append(share);
          }
          const tick = make('b');
          tick.style.left = `calc(${weight * 100}% - 1px)`;
          bar.append(tick);
          return make('tr', {}, make('th', { scope: 'row' }, label), make('td', { class: 'bar', 'aria-hidden': 'true' }, bar),
            make('td', {}, percent(measured)), make('td', { class: 'weight' }, `weight ${percent(weight)}`));
        }))),
        odd ? make('p', { class: 'odd-text' }, 'not as the weights say: they have just changed, or a rule is in the way') : null);
    }));
  };

  const marks = () => {
    byId('marks').hidden = !told.marks.length;
    byId('marks').lastElementChild.replaceChildren(...told.marks.map(([host, words, sort, bad]) =>
      make('li', { class: sort + (bad ? ' bad' : '') }, make('b', {}, host), make('span', {}, words + (bad && sort === 'fault' ? ', now' : '')))));
    document.querySelector('main').classList.toggle('beside', told.marks.length + told.splits.length > 0);
    document.querySelector('aside').hidden = told.marks.length + told.splits.length === 0;
  };

  const table = () => {
    document.querySelector('#calls tbody').replaceChildren(...told.edges.map((edge) => {
      const sort = kind(edge);
      return make('tr', {}, make('th', { scope: 'row' }, edge.names[0]),
        make('td', {}, edge.names[1], ' ', make('span', { class: 'quiet' }, edge.names[2])),
        make('td', { 'data-of': '' }, edge.rate ? rate(edge.rate) : edge.bytes ? bytes(edge.bytes) : make('span', { class: 'quiet' }, 'idle')),
        make('td', { 'data-of': 'errors', class: sort === 'fine' ? 'quiet' : sort }, edge.rate ? percent(edge.errors) : ''),
        make('td', { 'data-of': 'P50' }, edge.rate ? time(edge.p50) : ''), make('td', { 'data-of': 'P99' }, edge.rate ? time(edge.p99) : ''),
        make('td', {}, edge.notes.join(', ')));
    }));
  };

  // --- The events

  const clock = (moment) => new Date((moment - ahead) * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  const connection = (state, text) => { byId('connection').className = state; put(byId('connection'), text); };
  const show = () => {
    if (!told) return;
    put(byId('about'), told.about);
    byId('lost').hidden = !told.lost;
    put(byId('lost'), told.lost ? `As it was at ${clock(told.looked)}: ${told.lost}` : '');
    byId('missing').hidden = !told.missing || !told.nodes.length;
    put(byId('missing'), told.missing);
    byId('calls').hidden = !told.edges.length;
    document.body.classList.toggle('stale', Boolean(told.lost));
    splits();
    marks();
    graph();
    table();
  };
  const events = new EventSource('events' + location.search);
  events.addEventListener('graph', (event) => {
    told = JSON.parse(event.data);
    ahead = told.now - Date.now() / 1000;
    connection('live', 'live');
    show();
    document.documentElement.dataset.version = event.lastEventId;
  });
  events.addEventListener('open', () => { if (told) { connection('live', 'live'); show(); } });
  events.addEventListener('error', () => {
    if (events.readyState === 2) connection('lost', 'ended: open the address of a new invoke observe');
    else if (!byId('connection').classList.contains('lost')) connection('lost', `not connected since ${clock(Date.now() / 1000 + ahead)}`);
    document.body.classList.add('stale');
  });

  const dark = () => document.documentElement.dataset.theme ? document.documentElement.dataset.theme === 'dark'
    : matchMedia('(prefers-color-scheme: dark)').matches;
  const theme = () => { byId('theme').setAttribute('aria-pressed', String(dark())); };
  byId('theme').addEventListener('click', () => {
    document.documentElement.dataset.theme = dark() ? 'light' : 'dark';
    theme();
  });
  theme();
  let sizing = 0;
  addEventListener('resize', () => { sizing = sizing || requestAnimationFrame(() => { sizing = 0; if (told) graph(); }); });
})();
