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
  sweep         TEXT NOT NULL,
  name          TEXT NOT NULL,
  size          TEXT NOT NULL,
  config        TEXT NOT NULL,
  data_checksum TEXT NOT NULL,
  budget        REAL NOT NULL,
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

// A RunSpec from a query that selects these columns from `run r LEFT JOIN run p ON p.id = r.parent`.
inline constexpr std::string_view kSpecColumns =
    "r.identity, r.sweep, r.name, r.size, r.config, r.data_checksum, r.budget, r.seed, r.n, r.d, r.c, "
    "r.memory_bytes, "
    "r.seconds, r.threads, p.identity, r.fork_step";
inline constexpr int kSpecColumnCount = 16;

// What sweeps but the first have of a run is JSON in the note "shared SWEEP": {IDENTITY: {name, size, budget}}.
inline constexpr std::string_view kSharedNote = "shared ";

// A condition on `run r`: it belongs to the sweep of this parameter ("?2"), or that is empty.
inline std::string belongs_to(std::string_view parameter) {
  return fmt::format(
      "({0} = '' OR r.sweep = {0} OR r.identity IN "
      "(SELECT s.key FROM note, json_each(note.value) s WHERE note.key = '{1}' || {0}))",
      parameter, kSharedNote);
}
RunSpec read_spec(const Statement& row, int first_column);

}  // namespace loglog::sweep
