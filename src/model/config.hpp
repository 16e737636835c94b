// What a training run is made of: the model, its data, the optimiser and the evaluations.
//
// visit() is the one list of keys. Reading, `--set`, range checks, help, JSON, TOML and the identity of a run
// all walk it; the defaults are the initialisers below.
#pragma once
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"
#include "kernels/matrix.hpp"

namespace loglog::model {

using kernels::Index;

struct ModelConfig {   // key model.*
  Index layers = 4;    // L, transformer blocks
  Index width = 128;   // C, channels of the residual stream; a multiple of heads
  Index heads = 4;     // H
  Index context = 64;  // T, tokens that one prediction sees at most
  Index vocab = 0;     // V; 0 means: as many as the token file has
  bool bias = true;    // biases in linear layers and norms
  bool tied = true;    // the head shares the token embedding
  float norm_epsilon = 1e-5f;
  // Standard deviation of the initial weight matrices and embeddings; 0 means 1 / sqrt(width), which keeps the
  // variance of what passes through a matrix at every width (LeCun et al. 1998, "Efficient BackProp", section 4.6).
  // GPT-2 has 0.02, close to it at its widths and far too small at ours: docs/adr/0003-initial-values.md.
  float init_sd = 0.0f;

  Index hidden() const { return 4 * width; }  // width of the MLP
  Index head_size() const { return width / heads; }
  float weight_sd() const { return init_sd > 0 ? init_sd : 1.0f / std::sqrt(static_cast<float>(width)); }
  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

struct DataConfig {              // key data.*
  std::string path;              // token file
  std::string split = "hashed";  // or "position"
  double val_share = 0.1;        // share of the tokens kept for validation
  friend bool operator==(const DataConfig&, const DataConfig&) = default;
};

struct OptimConfig {      // key train.*
  Index batch = 12;       // sequences per step
  Index micro_batch = 0;  // sequences per pass, gradients accumulate; 0 means automatic (see resolve)
  Index steps = 2000;
  Index tokens = 0;  // when above 0: steps = ceil(tokens / (batch * context))
  double lr = 1e-3;
  double min_lr = 1e-4;             // where the decay ends
  double warmup = 0.05;             // below 1: share of the run's steps; else steps
  std::string schedule = "cosine";  // or "wsd", "constant"
  double decay_share = 0.2;         // wsd: share of the run's steps that decay, linearly
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;
  double clip = 1.0;  // largest global gradient norm; 0 means no clipping
  std::string precision = "f32";
  std::uint64_t seed = 1;
  Index checkpoint_every = 0;  // steps; 0 means: only when stopped and at the end
  Index record_every = 1;      // steps between step events of the record
  int threads = 0;             // 0 means: one per core that this process may use
  std::string isa = "auto";
  friend bool operator==(const OptimConfig&, const OptimConfig&) = default;
};

struct EvalConfig {  // key eval.*
  Index every = 0;   // steps; 0 means only at the end
  Index tokens = 0;  // validation tokens per evaluation; 0 means the whole validation part
  friend bool operator==(const EvalConfig&, const EvalConfig&) = default;
};

struct RunConfig {
  ModelConfig model;
  DataConfig data;
  OptimConfig train;
  EvalConfig eval;
  friend bool operator==(const RunConfig&, const RunConfig&) = default;
};

// One key: its name, the allowed values and one line of help. Numbers lie in [low, high]; strings are one of
// `choices` unless that is empty.
struct ConfigKey {
  std::string_view name;
  std::string_view help;
  double low = 0;
  double high = 0;
  std::vector<std::string_view> choices = {};
  bool changes_result = true;  // part of the run's identity
};

// v(key, member) for every key in order. Members are Index, int, std::uint64_t, bool, float, double or std::string.
template <class Config, class Visitor>
void visit(Config& c, Visitor&& v) {
  constexpr double kBig = 1e15;
  auto& m = c.model;
  v(ConfigKey{"model.layers", "transformer blocks", 1, 1024}, m.layers);
  v(ConfigKey{"model.width", "channels of the residual stream, a multiple of model.heads", 1, 65536},
    m.width);
  v(ConfigKey{"model.heads", "attention heads", 1, 1024}, m.heads);
  v(ConfigKey{"model.context", "tokens that a prediction sees at most", 1, 1 << 20}, m.context);
  v(ConfigKey{"model.vocab", "vocabulary; 0 takes the token file's", 0, 1 << 24}, m.vocab);
  v(ConfigKey{"model.bias", "biases in linear layers and norms", 0, 1}, m.bias);
  v(ConfigKey{"model.tied", "the head shares the token embedding", 0, 1}, m.tied);
  v(ConfigKey{"model.norm_epsilon", "added to the variance in norms", 1e-12, 1}, m.norm_epsilon);
  v(ConfigKey{"model.init_sd", "sd of the initial matrices and embeddings; 0 takes 1 / sqrt(width)", 0, 10},
    m.init_sd);
  auto& d = c.data;
  v(ConfigKey{"data.path", "token file made by `loglog data`", 0, 0, {}, false}, d.path);
  v(ConfigKey{"data.split", "how validation blocks are chosen", 0, 0, {"hashed", "position"}}, d.split);
  v(ConfigKey{"data.val_share", "share of the tokens kept for validation", 1e-6, 0.9}, d.val_share);
  auto& t = c.train;
  v(ConfigKey{"train.batch", "sequences per step", 1, kBig}, t.batch);
  v(ConfigKey{"train.micro_batch", "sequences per pass; 0 is automatic", 0, kBig}, t.micro_batch);
  v(ConfigKey{"train.steps", "optimiser steps", 0, kBig}, t.steps);
  v(ConfigKey{"train.tokens", "when above 0, sets train.steps = ceil(tokens / (batch * context))", 0, kBig},
    t.tokens);
  v(ConfigKey{"train.lr", "highest learning rate", 0, 1e6}, t.lr);
  v(ConfigKey{"train.min_lr", "learning rate where the decay ends", 0, 1e6}, t.min_lr);
  v(ConfigKey{"train.warmup", "linear warm-up: share of the steps if below 1, else steps", 0, kBig},
    t.warmup);
  v(ConfigKey{"train.schedule", "learning-rate schedule", 0, 0, {"cosine", "wsd", "constant"}}, t.schedule);
  v(ConfigKey{"train.decay_share", "wsd: share of the steps that decay, linearly", 0, 1}, t.decay_share);
  v(ConfigKey{"train.beta1", "AdamW: decay of the first moment", 0, 0.999999}, t.beta1);
  v(ConfigKey{"train.beta2", "AdamW: decay of the second moment", 0, 0.9999999}, t.beta2);
  v(ConfigKey{"train.epsilon", "AdamW: added to the root of the second moment", 1e-30, 1}, t.epsilon);
  v(ConfigKey{"train.weight_decay", "AdamW: decoupled decay of matrices and embeddings", 0, 1e3},
    t.weight_decay);
  v(ConfigKey{"train.clip", "largest global gradient norm; 0 is off", 0, 1e9}, t.clip);
  v(ConfigKey{"train.precision", "number format of weights and activations", 0, 0, {"f32"}}, t.precision);
  v(ConfigKey{"train.seed", "of initial weights and of the order of the data", 0, 9.0e18}, t.seed);
  v(
      ConfigKey{
          "train.checkpoint_every", "steps between checkpoints; 0 is only at the end", 0, kBig, {}, false},
      t.checkpoint_every);
  v(ConfigKey{"train.record_every", "steps between step events of the record", 1, kBig, {}, false},
    t.record_every);
  v(ConfigKey{"train.threads", "threads; 0 is one per core that the process may use", 0, 4096, {}, false},
    t.threads);
  v(ConfigKey{"train.isa", "instruction-set row, see `loglog doctor`", 0, 0, {}, false}, t.isa);
  auto& e = c.eval;
  v(ConfigKey{"eval.every", "steps between evaluations; 0 is only at the end", 0, kBig, {}, false}, e.every);
  v(ConfigKey{"eval.tokens", "validation tokens per evaluation; 0 is the whole validation part", 0, kBig},
    e.tokens);
}

// Reads TOML. Keys that are absent keep their defaults. `name` is what messages call the text. UsageError for
// an unknown key (with the nearest name), a wrong type or a value outside its range.
RunConfig parse_config(std::string_view toml, std::string_view name);
RunConfig read_config(const Path& path);  // InputError when the file cannot be read

// "train.lr=0.01": the right side is read as TOML, and as a plain string where the key is one.
void apply_set(RunConfig& config, std::string_view assignment);

// Checks what no single key shows (width is a multiple of heads, ...) and fills in what is automatic: vocab
// from the data, steps from tokens, the micro-batch. Depends on nothing of the machine, so a run has the same
// bits everywhere. UsageError.
void resolve(RunConfig& config, Index data_vocab);

std::string to_json(const RunConfig& config);  // {"model": {"layers": 4, ...}, ...}, one line
RunConfig from_json(std::string_view json,
                    std::string_view name);    // as parse_config; InputError when damaged
std::string to_toml(const RunConfig& config);  // with the help as comments

// 32 hexadecimal digits (128-bit xxh3) over every key that changes the result, the data's checksum included
// and its path not. Two runs with the same identity are the same run.
std::string identity(const RunConfig& resolved, std::string_view data_checksum);

}  // namespace loglog::model
