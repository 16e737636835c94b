// Tables of the store, version kStoreSchema. Every column is explained in docs/formats.md.
#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>

#include "sweep/store.hpp"

namespace loglog::sweep {

inline constexpr int kApplicationId = 0x4c474c47;  // "LGLG", in the header of the file

inline constexpr char kSchemaSql[] = R"sql(
CREATE TABLE run (
  id            INTEGER PRIMARY KEY,
  identity      TEXT NOT NULL UNIQUE,
  config        TEXT NOT NULL,
  data_checksum TEXT NOT NULL,
  seed          INTEGER NOT NULL,
  n             REAL NOT NULL,
  d             REAL NOT NULL,
  c             REAL NOT NULL,
  memory_bytes  REAL NOT NULL,
  seconds       REAL NOT NULL,
  threads       INTEGER NOT NULL,
  parent        INTEGER REFERENCES run(id),
  fork_step     INTEGER NOT NULL DEFAULT 0,
  state         TEXT NOT NULL DEFAULT 'queued' CHECK (state IN
                ('queued', 'running', 'done', 'failed', 'diverged', 'checkpointed', 'abandoned')),
  crashes       INTEGER NOT NULL DEFAULT 0,
  step          INTEGER NOT NULL DEFAULT 0,
  lease_token   TEXT,
  lease_holder  TEXT,
  lease_beat    INTEGER NOT NULL DEFAULT 0,
  CHECK ((state = 'running') = (lease_token IS NOT NULL)),
  CHECK ((lease_token IS NULL) = (lease_holder IS NULL))
) STRICT;

CREATE INDEX run_by_state ON run (state, threads, c);

CREATE TABLE member (
  id     INTEGER PRIMARY KEY,
  run    INTEGER NOT NULL REFERENCES run(id),
  sweep  TEXT NOT NULL,
  name   TEXT NOT NULL,
  size   TEXT NOT NULL,
  budget REAL NOT NULL,
  UNIQUE (run, sweep)
) STRICT;

CREATE TABLE result (
  run     INTEGER PRIMARY KEY REFERENCES run(id),
  state   TEXT NOT NULL CHECK (state IN ('done', 'diverged', 'failed')),
  loss    REAL CHECK (loss IS NULL OR abs(loss) < 1e300),
  seconds REAL NOT NULL,
  end     TEXT NOT NULL,
  error   TEXT NOT NULL,
  CHECK ((state = 'done') = (loss IS NOT NULL))
) STRICT;

CREATE TABLE curve (
  run        INTEGER NOT NULL REFERENCES run(id),
  step       INTEGER NOT NULL,
  tokens     REAL NOT NULL,
  train_loss REAL,
  val_loss   REAL,
  PRIMARY KEY (run, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE calibration (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE note (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
)sql";

// A RunSpec from a query that selects these columns from kSpecTables.
inline constexpr std::string_view kSpecColumns =
    "r.identity, m.sweep, m.name, m.size, r.config, r.data_checksum, m.budget, r.seed, r.n, r.d, r.c, "
    "r.memory_bytes, r.seconds, r.threads, p.identity, r.fork_step";
inline constexpr int kSpecColumnCount = 16;
inline constexpr std::string_view kSpecTables =
    "run r JOIN member m ON m.run = r.id LEFT JOIN run p ON p.id = r.parent";

// Conditions on `member m` of a run: of the sweep of this parameter ("?2"), of any when that is empty.
inline std::string is_of(std::string_view parameter) {
  return fmt::format("(m.sweep <> '' AND ({0} = '' OR m.sweep = {0}))", parameter);
}
inline std::string is_first_of(std::string_view parameter) {
  return fmt::format("m.id = (SELECT min(m.id) FROM member m WHERE m.run = r.id AND {})", is_of(parameter));
}
// The same of `run r`.
inline std::string belongs_to(std::string_view parameter) {
  return fmt::format("EXISTS (SELECT 1 FROM member m WHERE m.run = r.id AND {})", is_of(parameter));
}

RunSpec read_spec(const Statement& row, int first_column);

}  // namespace loglog::sweep
