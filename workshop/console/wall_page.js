'use strict';
// What is shown comes from the events alone, and goes into the page as text (`textContent`), never as markup.
(() => {
  const SIGNS = {
    'converged': '✓', 'superseded': '=', 'by hand': 'H', 'under way': '▸', 'not proved': '○', 'drifted': '≠',
    'failed': '✗', 'stuck': '!', 'not there': '·', 'unknown': '?',
  };
  const LOST = '⊘';
  const CONDITIONS = ['stuck', 'under way', 'idle', 'not begun', 'done'];
  const NARROW = 700;  // px: a phone
  const LEAST = 14;  // px: of a name; smaller ones are read by nobody
  const find = (selector) => document.querySelector(selector);
  const byId = (id) => document.getElementById(id);
  const members = new Map();  // by name: { row, cells..., the elements that show it }
  let names = [], labs = [], ahead = 0, stuckBefore = null, shown = '', blocks = 1, perBlock = 1, patience = 600;

  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
    return element;
  };
  const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const classOf = (condition) => condition.replace(' ', '-');
  const short = (lab) => lab.includes('.') ? lab.slice(lab.indexOf('.') + 1) : lab;

  // Ages, by the clock of the server: a phone's may be wrong.
  const now = () => Date.now() / 1000 + ahead;
  const UNITS = [[86400, 'd', 'd'], [3600, 'h', 'h'], [60, 'm', 'min'], [1, 's', 's']];
  const age = (since, long = true) => {
    if (since === undefined || since === null) return '';
    const seconds = Math.max(now() - since, 0);
    const [unit, letter, word] = UNITS.find(([unit]) => seconds >= unit) || UNITS[3];
    return Math.floor(seconds / unit) + (long ? ' ' + word : letter);
  };
  const clock = (time) => new Date((time - ahead) * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });

  const sign = (state) => make('i', { class: 'sign', 'aria-hidden': 'true' }, SIGNS[state] || '?', make('small'));

  // --- The wall

  const build = (told) => {
    const before = document.activeElement && document.activeElement.dataset.member;
    labs = told.labs; patience = told.patience;
    names = told.rows.map((row) => row.name);
    members.clear();
    put(byId('title'), told.title);
    const heads = ['Member', 'Now', ...labs.map(([name, title]) => `${short(name)}: ${title}`), 'Since'];
    find('thead').replaceChildren(make('tr', { role: 'row' },
      ...heads.map((head) => make('th', { role: 'columnheader', scope: 'col' }, head))));
    find('tbody').replaceChildren(...told.rows.map(member));
    document.documentElement.style.setProperty('--labs', labs.length);
    document.documentElement.style.setProperty('--most', Math.max(labs.length - 3, 1));
    byId('numbers').replaceChildren(...labs.flatMap(([name], place) =>
      [make('b', {}, `${place + 1}`), ` ${short(name)}${place < labs.length - 1 ? '  ' : ''}`]));
    put(byId('meaning'), 'Stuck: failed, cut off or not proved; nothing new for ' + Math.round(patience / 60)
      + ' min while at work, or while half of the class is further.');
    told.rows.forEach(update);
    roving(before && members.has(before) ? before : names[0]);
    if (before && members.has(before)) members.get(before).name.focus();
  };

  const member = (row) => {
    const name = make('button', { type: 'button', class: 'name', tabindex: '-1', title: row.name,
      'aria-haspopup': 'dialog' }, row.name);
    name.dataset.member = row.name;
    const cells = row.cells.map(() => make('td', { role: 'cell', class: 'cell' }, sign('not there'),
      make('span', { class: 'heard' })));
    const at = make('td', { role: 'cell', class: 'at' });
    const lost = make('span', { class: 'lost', hidden: '' }, make('span', { 'aria-hidden': 'true' }, LOST), make('span', { class: 'heard' }));
    const since = make('td', { role: 'cell', class: 'age' });
    const line = make('tr', { role: 'row' }, make('th', { role: 'rowheader', scope: 'row' }, name, lost), at, ...cells, since);
    line.addEventListener('click', () => open(row.name));
    members.set(row.name, { row, line, name, lost, at, since, cells });
    return line;
  };

  const update = (row) => {
    const known = members.get(row.name);
    if (!known) return;
    known.row = row;
    known.line.className = classOf(row.condition);
    known.lost.hidden = !row.error;
    put(known.at, where(row));
    row.cells.forEach(([state, since], place) => {
      const cell = known.cells[place];
      if (cell.dataset.state === state) return;
      const first = cell.dataset.state === undefined;
      cell.dataset.state = state;
      cell.firstChild.firstChild.textContent = SIGNS[state] || '?';
      put(cell.lastChild, state);
      cell.firstChild.classList.toggle('fresh', !first);
    });
    if (row.name === shown) tell();
  };

  const notReached = (row) => 'not reached, ' + (row.looked ? `seen ${age(row.looked)} ago` : 'never seen');

  const where = (row) => {
    if (row.condition === 'stuck') return [row.why, row.lab && short(row.lab)].filter(Boolean).join(' · ');
    if (row.condition === 'under way') return [short(row.lab || ''), row.doing].filter(Boolean).join(' · ');
    if (row.condition === 'done') return 'done';
    if (row.error) return notReached(row);
    return row.condition === 'not begun' ? 'not begun' : '';
  };

  const ages = () => {
    for (const { row, lost, at, since, cells } of members.values()) {
      if (row.error) {
        put(lost.lastChild, notReached(row));
        put(at, where(row));
      }
      put(since, age(row.since, false));
      row.cells.forEach(([state, at], place) =>
        put(cells[place].firstChild.lastChild, state === 'not there' ? '' : age(at, false)));
    }
    for (const card of document.querySelectorAll('#stuck .card')) put(card.children[1], age(members.get(card.dataset.member).row.since, roomy() > 1));
    for (const item of document.querySelectorAll('#about time')) put(item, age(Number(item.dataset.at)));
  };

  // --- What is above it

  const why = (row) => row.why + (row.lab ? ` at ${short(row.lab)}` : '');

  const rows = () => names.map((name) => members.get(name).row);
  const stuck = () => rows().filter((row) => row.condition === 'stuck').sort((one, other) => (one.since || 0) - (other.since || 0));

  const above = () => {
    const all = rows();
    const list = byId('counts');
    if (!list.children.length) for (const condition of CONDITIONS) list.append(make('li', { class: classOf(condition) }, make('b'), ' ' + condition));
    CONDITIONS.forEach((condition, place) => {
      const count = all.filter((row) => row.condition === condition).length;
      put(list.children[place].firstChild, String(count));
      list.children[place].classList.toggle('none', !count);
    });
    const lost = all.filter((row) => row.error).length;
    const counted = list.children[CONDITIONS.length] || list.appendChild(make('li', { class: 'not-reached' }, make('b'), ' not reached'));
    put(counted.firstChild, String(lost));
    counted.hidden = !lost;
    const waiting = stuck();
    document.title = (waiting.length ? `${waiting.length} stuck · ` : '') + byId('title').textContent;
    const focused = document.activeElement.closest && document.activeElement.closest('.card');
    const before = focused && focused.dataset.member;
    const most = cards(waiting.length);
    const kept = new Map([...document.querySelectorAll('#stuck .card')].map((card) => [card.dataset.member, card]));
    const items = waiting.slice(0, most).map((row) => {
      const card = kept.get(row.name) || make('button', { type: 'button', class: 'card', 'aria-haspopup': 'dialog' },
        make('b', {}, row.name), make('span', { class: 'long' }), make('span', { class: 'why' }), make('span', { class: 'trouble' }));
      card.dataset.member = row.name;
      put(card.children[1], age(row.since, roomy() > 1));
      put(card.children[2], why(row));
      put(card.children[3], row.trouble ? row.trouble[0] : '');
      card.children[3].hidden = !row.trouble || roomy() < 2;
      return card.parentElement || make('li', {}, card);
    });
    if (waiting.length > most) items.push(make('li', { class: 'more' }, `${waiting.length - most} more, marked below`));
    const ol = find('#stuck ol');
    if (items.length !== ol.children.length || items.some((item, place) => item !== ol.children[place])) ol.replaceChildren(...items);
    if (before) (find(`#stuck .card[data-member="${CSS.escape(before)}"]`) || find('.card') || byId('wall')).focus();
    byId('stuck').hidden = !waiting.length;
    measured(all);
    byId('top').hidden = !waiting.length && byId('measured').hidden;
    hear(waiting);
  };

  // How much room there is above the wall: 3 for two lines of cards, 1 for one line without what came back.
  const roomy = () => innerWidth < NARROW ? 2 : names.length > 100 ? 1 : innerHeight < 850 && names.length > 12 ? 1 : names.length > 30 ? 2 : 3;
  const columns = () => innerWidth < NARROW ? 1 : Math.max(2, Math.floor(innerWidth * 0.7 / (roomy() === 1 ? 250 : 300)));
  const cards = (count) => {
    const width = columns(), lines = innerWidth < NARROW ? 12 : names.length <= 60 && innerHeight > 1000 ? 2 : 1;
    const style = document.documentElement.style;
    style.setProperty('--cards', width);
    style.setProperty('--card', roomy() === 1 ? '22px' : '30px');
    return count <= width * lines ? count : width * lines - 1;
  };

  const measured = (all) => {
    const last = all.filter((row) => row.measured).sort((one, other) => other.measured.at - one.measured.at);
    const some = last.slice(0, innerWidth < NARROW ? 3 : roomy() === 1 ? 2 : roomy() + 1);
    byId('measured').hidden = !some.length;
    find('#measured ol').replaceChildren(...some.map((row) => make('li', {},
      make('span', { class: 'of' }, `${row.name} · ${short(row.measured.lab)}`),
      make('span', { class: 'said' }, [{ pass: 'proved', fail: 'failed', inconclusive: 'cannot tell' }[row.measured.kind],
        row.measured.bars.length ? shares(row.measured.bars) : row.measured.said].filter(Boolean).join(': ')),
      row.measured.bars.filter(([, found]) => found).length > 1 ? bars(row.measured.bars) : null)));
  };
  const percent = (share) => share === null ? '?' : (share * 100).toFixed(1).replace(/\.0$/, '') + ' %';
  const shares = (list) => list.filter(([, found, expected]) => found || expected).map(([, found]) => percent(found)).join(', ');
  const bars = (list) => make('div', { class: 'bars', 'aria-hidden': 'true' }, ...list.map(([, found]) => {
    const bar = make('i');
    bar.style.flexGrow = String(found || 0);
    return bar;
  }));

  // Told to who listens: only who is stuck since the last time, and all of them at once.
  const hear = (waiting) => {
    const now = new Set(waiting.map((row) => row.name));
    const more = stuckBefore && waiting.filter((row) => !stuckBefore.has(row.name));
    stuckBefore = now;
    if (more && more.length) put(byId('said'), 'Stuck: ' + more.map((row) => `${row.name}, ${row.why}` + (row.lab ? ` at ${short(row.lab)}` : '')).join('; '));
  };

  // --- Sizes: as large as all members fit into the window, in as many blocks side by side as that takes.

  const family = getComputedStyle(document.body).fontFamily;
  const pen = document.createElement('canvas').getContext('2d');
  const ems = (texts, weight, most = 1) => {  // the width of all of them but the longest few
    pen.font = `${weight} 100px ${family}`;
    const widths = texts.map((text) => pen.measureText(text).width / 100).sort((one, other) => one - other);
    return widths[Math.ceil(widths.length * most) - 1];
  };

  const best = (width, height, nameEms, least) => {
    let found = null;
    const count = names.length;
    for (let blocks = 1; blocks <= 12; blocks += 1) {
      const rows = Math.ceil(count / blocks), gap = blocks > 4 ? 18 : 22;
      if (blocks > 1 && rows * (blocks - 1) >= count) continue;
      const row = Math.min(Math.floor(height / rows), 80), block = (width - gap * (blocks - 1)) / blocks;
      for (let font = Math.min(Math.floor(row * 0.74), 24 + Math.floor(row / 5)); font >= least; font -= 1) {
        const cell = Math.max(font * 0.82, 11), since = font * 0.8 * 2.9 + 4;
        const left = block - (nameEms * font + 8) - since - labs.length * cell;
        if (left < 0) continue;
        if (!found || font > found.font) found = { blocks, rows, row, font, cell, since, gap, left };
        break;
      }
    }
    return found;
  };

  const fit = () => {
    const style = document.documentElement.style, body = document.body.classList;
    if (!names.length) return;
    const narrow = innerWidth < NARROW;
    body.toggle('fitted', !narrow);
    if (narrow) {
      body.add('numbered');
      body.remove('dense', 'ages');
      style.setProperty('--font', '16px');
      blocks = 1; perBlock = names.length;
      return;
    }
    body.add('numbered');  // its line is reserved while what is left is measured
    const box = byId('wall').getBoundingClientRect();
    const width = box.width, height = box.height - 2;
    const headEms = ems(labs.map(([name]) => short(name)), 400);
    const vertical = Math.ceil(headEms * 15) + 8;
    const nameEms = Math.min(ems(names, 700, 0.97), 11) + 0.4;
    let found = best(width, height - 22, nameEms, LEAST), heads = 22, kind = 'numbered';
    for (let less = 0.5; !found && nameEms - less >= 5; less += 0.5) found = best(width, height - 22, nameEms - less, LEAST);
    const named = best(width, height - vertical, nameEms, 16);
    if (named && named.font >= found.font * 0.8) [found, heads, kind] = [named, vertical, 'vertical'];
    if (!found) {  // more members than the window has room for: the page is scrolled
      const blocks = Math.max(1, Math.floor((width + 22) / (nameEms * 15 + 60 + labs.length * 13 + 22)));
      found = { blocks, rows: Math.ceil(names.length / blocks), row: 22, font: 15, cell: 12.6, since: 41, gap: 22, left: 0 };
      body.remove('fitted');
    }
    // What is left goes to what is being done, where that can be read, and to wider cells.
    let { cell, left } = found, at = 0;
    const wanted = found.font * 8;
    if (left > wanted) { at = Math.min(left, found.font * 14); left -= at; }
    const more = Math.min(left / labs.length, 70 - cell);
    if (more > 0) cell += more;
    if (cell >= headEms * 13 * 0.62 && cell >= 56 && found.font >= 16) [heads, kind] = [40, 'flat'];
    body.toggle('dense', !at);
    body.toggle('ages', cell >= 32 && found.row >= 56);
    body.toggle('numbered', kind === 'numbered');
    blocks = found.blocks; perBlock = found.rows;
    const sizes = { blocks: found.blocks, rows: found.rows, row: `${found.row}px`, font: `${found.font}px`, cell: `${cell}px`,
      age: `${found.since}px`, at: `${at}px`, gap: `${found.gap}px`, heads: `${heads}px`,
      head: kind === 'vertical' ? '15px' : kind === 'flat' ? '14px' : `${Math.min(cell * 0.8, 14)}px` };
    for (const [name, value] of Object.entries(sizes)) style.setProperty('--' + name, value);
    const place = byId('heads');
    place.className = kind;
    const texts = labs.map(([name], number) => kind === 'numbered' ? String(number + 1) : short(name));
    const block = () => make('div', {}, make('span'), at ? make('span') : null, ...texts.map((text) => make('span', kind === 'numbered' && text.length > 1 ? { class: 'two' } : {}, text)), make('span'));
    place.replaceChildren(...Array.from({ length: found.blocks }, block));
  };

  // --- The keyboard: one stop for the whole wall, arrows within it.

  const roving = (name) => {
    for (const [one, { name: button }] of members) button.tabIndex = one === name ? 0 : -1;
  };
  find('tbody').addEventListener('keydown', (event) => {
    const place = names.indexOf(event.target.dataset.member);
    if (place < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const to = { ArrowDown: place + 1, ArrowUp: place - 1, ArrowRight: place + perBlock, ArrowLeft: place - perBlock,
      Home: 0, End: names.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const name = names[to];
    if (name === undefined) return;
    roving(name);
    members.get(name).name.focus();
  });
  find('tbody').addEventListener('focusin', (event) => { if (event.target.dataset.member) roving(event.target.dataset.member); });
  find('tbody').addEventListener('animationend', (event) => event.target.classList.remove('fresh'));
  find('#stuck').addEventListener('click', (event) => {
    const card = event.target.closest('.card');
    if (card) open(card.dataset.member);
  });

  // --- A member's details

  const open = (name) => {
    shown = name;
    tell();
    if (!byId('details').open) byId('details').showModal();
  };
  byId('details').addEventListener('close', () => { shown = ''; });
  byId('details').addEventListener('click', (event) => { if (event.target === byId('details')) byId('details').close(); });

  const aging = (at) => {
    const item = make('time', {}, age(at));
    item.dataset.at = at;
    return item;
  };

  const tell = () => {
    const { row } = members.get(shown);
    const parts = [make('h2', { id: 'who' }, row.name),
      make('p', row.condition === 'stuck' ? { class: 'bad' } : {}, row.condition, row.since ? ' for ' : '',
        row.since ? aging(row.since) : '', row.why ? `: ${row.why}` : '')];
    if (row.lab) parts.push(make('p', {}, [row.lab, row.step && 'step ' + row.step, row.doing].filter(Boolean).join(' · ')));
    if (row.trouble) {
      const [said, cause, next] = row.trouble;
      parts.push(make('h3', {}, 'What came back'), make('p', {}, said));
      if (cause) parts.push(make('p', { class: 'quiet' }, 'Likely: ' + cause));
      if (next) parts.push(make('p', {}, 'Next: ', make('code', {}, next)));
    }
    if (row.measured) {
      parts.push(make('h3', {}, 'Measured last, ', aging(row.measured.at), ` ago: ${row.measured.lab}`), make('p', {}, row.measured.said));
      if (row.measured.bars.length) parts.push(make('table', {}, make('tbody', {}, ...row.measured.bars.map(([label, found, expected]) =>
        make('tr', {}, make('th', { scope: 'row' }, label), make('td', {}, percent(found)),
          make('td', { class: 'quiet' }, expected === null ? '' : `expected ${percent(expected)}`))))));
    }
    const lines = labs.map(([name, title], place) => {
      const [state, at, note] = row.cells[place];
      const cell = make('td', { role: 'cell' }, sign(state));
      cell.dataset.state = state;
      return make('tr', { role: 'row' }, cell, make('th', { role: 'rowheader', scope: 'row', title }, short(name)),
        make('td', { role: 'cell' }, state),
        make('td', { role: 'cell', class: 'quiet' }, state === 'not there' || !at ? '' : aging(at)),
        make('td', { role: 'cell', class: 'quiet note' }, note));
    });
    parts.push(make('h3', {}, 'Labs'), make('table', { role: 'table', class: 'labs', 'aria-label': 'Labs' }, make('tbody', { role: 'rowgroup' }, ...lines)));
    if (row.typed) parts.push(make('h3', {}, 'Typed last'), make('p', {}, make('code', {}, row.typed)));
    parts.push(row.looked ? make('p', { class: 'quiet' }, 'Its cluster was looked at ', aging(row.looked), ' ago.')
      : make('p', { class: 'quiet' }, 'Its cluster has not been looked at.'));
    if (row.error) parts.push(make('p', { class: 'bad' }, ...(row.tried ? ['Not reached ', aging(row.tried), ' ago: '] : []), row.error));
    byId('about').replaceChildren(...parts);
  };

  // --- The events

  const legend = () => byId('legend').replaceChildren(...Object.keys(SIGNS).map((state) => {
    const item = make('li', {}, sign(state), state);
    item.dataset.state = state;
    return item;
  }), make('li', {}, make('span', { class: 'lost', 'aria-hidden': 'true' }, LOST), 'cluster not reached'));

  const connection = (state, text) => { byId('connection').className = state; put(byId('connection'), text); };

  let settling = 0;
  const settle = () => {
    settling = 0;
    above();
    ages();
    fit();
  };
  const later = () => { settling = settling || requestAnimationFrame(settle); };

  const heard = (event, then) => {
    const told = JSON.parse(event.data);
    ahead = told.now - Date.now() / 1000;
    document.body.classList.remove('stale');
    connection('live', 'live');
    then(told);
    settle();
    document.documentElement.dataset.version = event.lastEventId;
  };

  const events = new EventSource('events' + location.search);
  events.addEventListener('wall', (event) => heard(event, build));
  events.addEventListener('rows', (event) => heard(event, (told) => told.rows.forEach(update)));
  events.addEventListener('open', () => { if (names.length) { document.body.classList.remove('stale'); connection('live', 'live'); } });
  events.addEventListener('error', () => {
    if (events.readyState === 2) connection('lost', 'ended: open the address of a new invoke watch');
    else if (!document.body.classList.contains('stale')) connection('lost', `not connected since ${clock(now())}`);
    document.body.classList.add('stale');
  });

  const dark = () => document.documentElement.dataset.theme ? document.documentElement.dataset.theme === 'dark'
    : matchMedia('(prefers-color-scheme: dark)').matches;
  const theme = () => { byId('theme').setAttribute('aria-pressed', String(dark())); };
  byId('theme').addEventListener('click', () => {
    document.documentElement.dataset.theme = dark() ? 'light' : 'dark';
    theme();
  });

  legend();
  theme();
  setInterval(() => { if (names.length) ages(); }, 1000);
  addEventListener('resize', later);
})();
