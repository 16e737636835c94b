// A run that takes milliseconds, for tests of the trainer.
#pragma once
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "data/token_writer.hpp"
#include "model/checkpoint.hpp"

namespace loglog {

// Two sources of words in random order, over an alphabet of eight tokens.
inline void write_small_tokens(const Path& path) {
  data::TokenWriter writer(real_file_system(), path, 1);
  for (const std::uint64_t source : {0, 1}) {
    writer.begin_source(source == 0 ? "first" : "second");
    std::vector<data::Token> tokens;
    const Rng draw(source, 1);
    for (std::uint64_t word = 0; word < 2500; ++word) {
      const auto letter = static_cast<data::Token>(draw.below(word, 7));
      tokens.insert(tokens.end(), {letter, (letter + 1) % 7, (letter * 3) % 7, 7});
    }
    writer.append(tokens);
  }
  writer.finish(8, {{"line_end", 7}});
}

// The same alphabet in documents of 2 to 13 tokens that end with token 7; by `mask`, the first token of each does not count.
inline void write_small_documents(const Path& path, bool mask) {
  data::TokenWriter writer(real_file_system(), path, 1);
  for (const std::uint64_t source : {0, 1}) {
    writer.begin_source(source == 0 ? "first" : "second");
    const Rng draw(source, 2);
    for (std::uint64_t document = 0; document < 1500; ++document) {
      const auto letter = static_cast<data::Token>(draw.below(2 * document, 7));
      std::vector<data::Token> rest(draw.below(2 * document + 1, 12));
      for (std::size_t i = 0; i < rest.size(); ++i)
        rest[i] = (letter + static_cast<data::Token>(i * source) + 1) % 7;
      rest.push_back(7);
      writer.append({&letter, 1}, mask ? data::Counts::no : data::Counts::yes);
      writer.append(rest);
      writer.end_document();
    }
  }
  writer.finish(8, {{"line_end", 7}, {"document_end", 7}});
}

// One source of words as above, but in three places 96 tokens are noise.
inline void write_damaged_tokens(const Path& path) {
  data::TokenWriter writer(real_file_system(), path, 1);
  writer.begin_source("one");
  std::vector<data::Token> tokens;
  const Rng draw(0, 1);
  for (std::uint64_t word = 0; word < 5000; ++word) {
    const auto letter = static_cast<data::Token>(draw.below(word, 6));
    tokens.insert(tokens.end(), {letter, (letter + 1) % 6, (letter * 3) % 6, 7});
  }
  const Rng noise(1, 1);
  for (const std::size_t first : {4000, 9000, 14000})
    for (std::size_t i = first; i < first + 96; ++i) tokens[i] = static_cast<data::Token>(noise.below(i, 7));
  writer.append(tokens);
  writer.finish(8, {{"line_end", 7}});
}

inline model::RunConfig small_run(const Path& tokens) {
  model::RunConfig c;
  c.model = {.layers = 2, .width = 16, .heads = 2, .context = 16, .vocab = 8};
  c.data.path = tokens.string();
  c.train.batch = 6;
  c.train.micro_batch = 3;  // gradients accumulate
  c.train.steps = 12;
  c.train.lr = 1e-2;
  c.train.min_lr = 1e-3;
  c.train.schedule = "wsd";
  c.train.checkpoint_every = 5;
  c.eval.every = 4;
  c.eval.tokens = 640;
  return c;
}

// A run on write_damaged_tokens() whose loss spikes.
inline model::RunConfig spiking_run(const Path& tokens) {
  model::RunConfig c = small_run(tokens);
  c.train.steps = 150;
  c.train.checkpoint_every = 40;
  c.train.record_every = 1;
  c.train.spike = 6;
  c.train.rollback_every = 25;
  c.train.spike_skip = 1;
  c.eval.every = 0;
  return c;
}

// Large enough that every kernel cuts its work into pieces for several threads: gemm takes a thread per 2^18
// multiplications, row kernels and sums go in chunks of 64 rows and 2^14 elements.
inline void make_parallel(model::RunConfig& c) {
  c.model = {.layers = 2, .width = 96, .heads = 3, .context = 80, .vocab = 8};
  c.train.steps = 2;
  c.train.checkpoint_every = 0;
  c.eval.every = 0;
  c.eval.tokens = 160;
}

// Bytes of the newest checkpoint's tensors: weights and both moments.
inline std::string newest_tensors(const Path& out) {
  const Path folder = out / "checkpoints";
  const auto newest = model::CheckpointFolder(real_file_system(), folder).newest();
  if (!newest) return "none";
  char name[64];
  std::snprintf(name, sizeof(name), "step-%012lld.safetensors", static_cast<long long>(newest->step));
  return read_text(folder / name);
}

// The record without checkpoint events, whose number depends on stops, and without what a clock or the machine says.
inline std::vector<nlohmann::json> comparable_record(const Path& out) {
  std::vector<nlohmann::json> events;
  std::istringstream lines(read_text(out / "record.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    nlohmann::json event = nlohmann::json::parse(line);
    if (event.at("event") == "checkpoint") continue;
    for (const char* key : {"seconds", "train_seconds", "tokens_per_s", "resident_bytes", "peak_bytes",
                            "threads", "memory_bytes"}) {
      event.erase(key);
    }
    events.push_back(std::move(event));
  }
  return events;
}

}  // namespace loglog
