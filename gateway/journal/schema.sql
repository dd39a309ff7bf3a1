-- The journal, format 2; migrating.py tells how to add to it. Times are ns: `at`, `now`, `since` UTC; `steady` and `mono` monotonic. One writer, many readers.
PRAGMA application_id = 0x45434F53;
PRAGMA user_version = 2;
CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY) STRICT;
CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- steady = mono + offset: the monotonic clock carried over restarts, for everything that lasts
CREATE TABLE boot(id INTEGER PRIMARY KEY, uuid TEXT UNIQUE, offset INTEGER NOT NULL) STRICT;
-- a plan is all that a step needs to know; events name the one they were stepped with
CREATE TABLE plan(version INTEGER PRIMARY KEY, sha256 BLOB UNIQUE, software TEXT, engine TEXT, site TEXT, body BLOB) STRICT;
CREATE TABLE series(id INTEGER PRIMARY KEY, station TEXT, device TEXT, quantity TEXT, channel TEXT, statistic TEXT, period_s INTEGER, method TEXT,
                    UNIQUE(station, device, quantity, channel, statistic, period_s, method)) STRICT;
CREATE TABLE event(id INTEGER PRIMARY KEY, kind INTEGER, now INTEGER, sure INTEGER, steady INTEGER, plan INTEGER, n_from INTEGER, rows INTEGER, derived INTEGER,
                   done INTEGER) STRICT; -- 0 = committed before it was stepped, 1 = its effects are here, 2 = never to be stepped
-- every row that ever counted, in arrival order; no other index on purpose: one costs seven times the row itself
CREATE TABLE hot(n INTEGER PRIMARY KEY, series INTEGER, at INTEGER, span INTEGER, raw REAL, value REAL, flag INTEGER, reason INTEGER, tests INTEGER,
                 revision INTEGER, origin INTEGER, share REAL) STRICT; -- value null = raw
CREATE TABLE held(id INTEGER PRIMARY KEY, boot TEXT, mono INTEGER, utc INTEGER, series INTEGER, span INTEGER, raw REAL, reason INTEGER, origin INTEGER) STRICT;
CREATE TABLE receipt(line TEXT, packet INTEGER, digest BLOB, PRIMARY KEY(line, packet)) STRICT, WITHOUT ROWID;
CREATE TABLE aside(id INTEGER PRIMARY KEY, at INTEGER, line TEXT, topic TEXT, payload BLOB, why TEXT) STRICT;
CREATE TABLE checkpoint(event INTEGER PRIMARY KEY, plan INTEGER, body BLOB) STRICT;
CREATE TABLE sink(name TEXT PRIMARY KEY, n INTEGER, sent INTEGER, refused INTEGER, skipped INTEGER, thinned INTEGER, state TEXT, words TEXT) STRICT;
CREATE TABLE refused(sink TEXT, n INTEGER, at INTEGER, words TEXT, PRIMARY KEY(sink, n)) STRICT, WITHOUT ROWID;
-- rows n_from … n_to - 1 let newer ones go first: a sink gets them beside those, in order
CREATE TABLE owed(sink TEXT, n_from INTEGER, n_to INTEGER, PRIMARY KEY(sink, n_from)) STRICT, WITHOUT ROWID;
-- bytes that crossed the (metered) uplink for a sink; day = proleptic ordinal of the local date
CREATE TABLE traffic(sink TEXT, day INTEGER, bytes INTEGER NOT NULL, PRIMARY KEY(sink, day)) STRICT, WITHOUT ROWID;
CREATE TABLE alert(id INTEGER PRIMARY KEY, key TEXT, rule TEXT, series INTEGER, state TEXT, severity INTEGER, worst INTEGER, since INTEGER, "until" INTEGER,
                   body TEXT) STRICT;
CREATE INDEX alert_state ON alert(state, since);
CREATE TABLE alert_log(alert INTEGER, no INTEGER, event INTEGER, at INTEGER, kind TEXT, severity INTEGER, body TEXT, previous BLOB, hash BLOB,
                       PRIMARY KEY(alert, no)) STRICT, WITHOUT ROWID;
CREATE TABLE outbox(id INTEGER PRIMARY KEY, recipient TEXT, message TEXT UNIQUE, due INTEGER, tries INTEGER, state TEXT, words TEXT, body TEXT) STRICT;
CREATE INDEX outbox_next ON outbox(recipient, id) WHERE state = 'waiting';
-- rows n_from … n_to - 1 and events event_from … event_to are sealed in archive/file, or lost; first = SHA-256 as it was sealed, hash = as it is (thinned)
CREATE TABLE archive(event_from INTEGER PRIMARY KEY, event_to INTEGER, n_from INTEGER, n_to INTEGER, now_from INTEGER, now_to INTEGER, at_from INTEGER,
                     at_to INTEGER, rows INTEGER, thinned INTEGER, file TEXT UNIQUE, size INTEGER, previous BLOB, first BLOB, hash BLOB, lost TEXT) STRICT;
CREATE INDEX archive_n ON archive(n_to);
-- what devices were told: asked, started, done, failed, unknown; times UTC
CREATE TABLE orders(id INTEGER PRIMARY KEY, at INTEGER, line TEXT, device TEXT, verb TEXT, value REAL, by TEXT, state TEXT, words TEXT,
                    started INTEGER, ended INTEGER) STRICT;
