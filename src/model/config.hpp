// What a training run is made of: the model, its data, the optimiser and the evaluations.
//
// visit() is the one list of keys. Reading, `--set`, range checks, help, JSON, TOML and the identity of a run
// all walk it; the defaults are the initialisers below.
#pragma once
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"
#include "kernels/float_matrix.hpp"
#include "kernels/matrix.hpp"

namespace loglog::model {

using kernels::Index;

struct ModelConfig {               // key model.*
  Index layers = 4;                // L, transformer blocks
  Index width = 128;               // C, channels of the residual stream; a multiple of heads
  Index heads = 4;                 // H
  Index kv_heads = 0;              // heads of keys and values, divides heads; 0 means as many as heads
  Index context = 64;              // T, tokens that one prediction sees at most
  Index vocab = 0;                 // V; 0 means: as many as the token file has
  bool bias = true;                // biases in linear layers and norms
  bool qkv_bias = false;           // of queries, keys and values where bias is off (Qwen2)
  bool tied = true;                // the head shares the token embedding
  std::string norm = "layernorm";  // or "rmsnorm", "none"; always before a branch
  float norm_epsilon = 1e-5f;
  bool qk_norm = false;              // RMSNorm over each head of queries and keys
  std::string position = "learned";  // or "rope", "none"
  double rope_base = 10000;
  double rope_share = 1;  // share of a head that turns
  std::string mlp =
      "gelu";  // tanh form; or "gelu-erf", "relu", "silu", "swiglu", "geglu", "reglu"; "none": attention alone
  Index mlp_width = 0;  // 0 means 4 width, 8/3 width rounded up to 8 where gated: about as many parameters
  std::string block = "serial";  // or "parallel"
  std::string mask = "causal";   // or "prefix", "window", "full"
  Index mask_span = 0;           // tokens of the prefix or of the window
  // Standard deviation of the initial weight matrices and embeddings; 0 means 1 / sqrt(width), which keeps the
  // variance of what passes through a matrix at every width (LeCun et al. 1998, "Efficient BackProp", section 4.6).
  // GPT-2 has 0.02, close to it at its widths and far too small at ours: docs/adr/0003-initial-values.md.
  float init_sd = 0.0f;
  // When above 0, learning rates and initial values follow the width so that what is best at this width stays best at
  // others: model/width_scaling.hpp.
  Index base_width = 0;

  bool has_qkv_bias() const { return bias || qkv_bias; }
  bool has_mlp() const { return mlp != "none"; }
  bool is_gated() const { return mlp.ends_with("glu"); }
  Index hidden() const {  // width of the MLP
    if (!has_mlp()) return 0;
    if (mlp_width > 0) return mlp_width;
    return is_gated() ? kernels::round_up(kernels::ceil_div(8 * width, 3), 8) : 4 * width;
  }
  Index head_size() const { return width / heads; }
  Index key_heads() const { return kv_heads > 0 ? kv_heads : heads; }
  Index kv_width() const { return key_heads() * head_size(); }
  Index rotary_pairs() const {  // pairs of elements of a head that turn with the position
    return position == "rope" ? static_cast<Index>(rope_share * static_cast<double>(head_size()) / 2) : 0;
  }
  // First tokens of a sequence that see each other: those behind the first are no targets, for their own query sees them.
  Index mutual_prefix() const { return mask == "full" ? context : mask == "prefix" ? mask_span : 0; }
  float weight_sd() const { return init_sd > 0 ? init_sd : 1.0f / std::sqrt(static_cast<float>(width)); }
  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

struct DataConfig {                  // key data.*
  std::string path;                  // token file
  std::string split = "hashed";      // or "position"
  double val_share = 0.1;            // share of the tokens kept for validation
  std::string mixture;               // "name=weight,...": how often sources come; empty: by their sizes
  std::string documents = "ignore";  // or "mask": attention and positions stay inside a document
  friend bool operator==(const DataConfig&, const DataConfig&) = default;
};

struct OptimConfig {      // key train.*
  Index batch = 12;       // sequences per step
  Index micro_batch = 0;  // sequences per pass, gradients accumulate; 0 means automatic (see resolve)
  Index first_batch =
      0;  // sequences of the first step where the batch ramps up; 0: no ramp (model/batch_size.hpp)
  double batch_ramp = 0.1;  // its length; below 1: share of the run's steps; else steps
  Index steps = 2000;
  Index tokens = 0;  // when above 0: steps = ceil(tokens / (batch * context))
  // What sets lr (and min_lr in proportion) and batch from the size of the model: model/size_rule.hpp. "none" once resolved.
  std::string size_rule = "none";  // or "porian", "bytes"
  double lr = 1e-3;
  double min_lr = 1e-4;             // where the decay ends
  double warmup = 0.05;             // below 1: share of the run's steps; else steps
  std::string schedule = "cosine";  // or "wsd", "constant", "inverse-sqrt"
  Index horizon = 0;                // steps that cosine and wsd are laid out for; 0 means: the run's own
  double decay_share = 0.2;         // wsd: share of the run's steps that decay, linearly
  std::string optimizer = "adamw";  // or "sgd", "adafactor"
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;
  double clip = 1.0;  // largest global gradient norm; 0 means no clipping
  double dropout =
      0.0;  // share of the embedding and of what each branch writes; attention's weights are not dropped
  double z_loss = 0.0;  // times (log of the softmax' denominator)^2, added to the loss that is descended
  // A step whose loss is so many robust standard deviations above the recent median is undone and its data skipped; 0 is
  // off (train/spike.hpp).
  double spike = 0.0;
  Index spike_skip = 0;        // steps of data to skip behind it
  Index rollback_every = 100;  // steps between the states that one goes back to
  std::string precision = "f32";
  bool pack_weights =
      true;  // of bfloat16; else each product packs them: 4 bytes per parameter less, the same bits
  std::string recompute = "none";  // or "blocks": less memory, a third more FLOPs, the same bits
  std::uint64_t seed = 1;
  Index checkpoint_every = 0;  // steps; 0 means: only when stopped and at the end
  std::string keep_at = {};    // steps whose checkpoints stay too, "1200,2400"
  Index keep_every = 0;        // steps between checkpoints that stay; 0 means: the two newest alone do
  Index record_every = 1;      // steps between step events of the record
  int threads = 0;  // 0 means: as many as train fastest, at most one per core that this process may use
  std::string isa = "auto";
  friend bool operator==(const OptimConfig&, const OptimConfig&) = default;
};

// The type of products and of what they keep.
inline kernels::FloatType product_type(const OptimConfig& config) {
  return config.precision == "bf16" ? kernels::FloatType::bfloat16 : kernels::FloatType::float32;
}

struct EvalConfig {  // key eval.*
  Index every = 0;   // steps; 0 means only at the end
  Index tokens = 0;  // validation tokens per evaluation; 0 means the whole validation part
  friend bool operator==(const EvalConfig&, const EvalConfig&) = default;
};

struct ForkConfig {      // key fork.*: set by `train --fork`, so that the run is known as what it is
  std::string parent;    // identity of the run that it comes from; empty: none
  Index step = 0;        // of the checkpoint
  bool restart = false;  // parameters alone: steps, moments and the position in the data begin anew
  friend bool operator==(const ForkConfig&, const ForkConfig&) = default;
};

struct RunConfig {
  ModelConfig model;
  DataConfig data;
  OptimConfig train;
  EvalConfig eval;
  ForkConfig fork;
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
  // Came after the first runs: part of the identity only where it differs from its default, so that theirs stay.
  bool came_later = false;

  ConfigKey later() const {
    ConfigKey key = *this;
    key.came_later = true;
    return key;
  }
  ConfigKey aside() const {  // changes no result
    ConfigKey key = *this;
    key.changes_result = false;
    return key;
  }
};

// The keys of each table, in order: v(key, member). The order is that of identities: new keys may stand anywhere, none moves.
template <class Config, class Visitor>
void visit_model(Config& m, Visitor&& v) {
  v(ConfigKey{"model.layers", "transformer blocks", 1, 1024}, m.layers);
  v(ConfigKey{"model.width", "channels of the residual stream, a multiple of model.heads", 1, 65536},
    m.width);
  v(ConfigKey{"model.heads", "attention heads", 1, 1024}, m.heads);
  v(ConfigKey{"model.kv_heads", "heads of keys and values, divides model.heads; 0 takes as many", 0, 1024}
        .later(),
    m.kv_heads);
  v(ConfigKey{"model.context", "tokens that a prediction sees at most", 1, 1 << 20}, m.context);
  v(ConfigKey{"model.vocab", "vocabulary; 0 takes the token file's", 0, 1 << 24}, m.vocab);
  v(ConfigKey{"model.bias", "biases in linear layers and norms", 0, 1}, m.bias);
  v(ConfigKey{"model.qkv_bias", "biases of queries, keys and values where model.bias is off", 0, 1}.later(),
    m.qkv_bias);
  v(ConfigKey{"model.tied", "the head shares the token embedding", 0, 1}, m.tied);
  v(ConfigKey{"model.norm", "normalisation before a branch", 0, 0, {"layernorm", "rmsnorm", "none"}}.later(),
    m.norm);
  v(ConfigKey{"model.norm_epsilon", "added to the variance in norms", 1e-12, 1}, m.norm_epsilon);
  v(ConfigKey{"model.qk_norm", "RMSNorm over each head of queries and keys", 0, 1}.later(), m.qk_norm);
  v(ConfigKey{"model.position", "how positions are told", 0, 0, {"learned", "rope", "none"}}.later(),
    m.position);
  v(ConfigKey{"model.rope_base", "rope: base of the wave lengths", 1, 1e12}.later(), m.rope_base);
  v(ConfigKey{"model.rope_share", "rope: share of a head that turns", 0, 1}.later(), m.rope_share);
  v(ConfigKey{"model.mlp",
              "activation of the perceptron; none leaves attention alone",
              0,
              0,
              {"gelu", "gelu-erf", "relu", "silu", "swiglu", "geglu", "reglu", "none"}}
        .later(),
    m.mlp);
  v(ConfigKey{"model.mlp_width", "of the perceptron; 0 is 4 width, 8/3 width where gated", 0, 1 << 20}
        .later(),
    m.mlp_width);
  v(ConfigKey{"model.block", "branches one after the other or side by side", 0, 0, {"serial", "parallel"}}
        .later(),
    m.block);
  v(ConfigKey{"model.mask", "what a token sees", 0, 0, {"causal", "prefix", "window", "full"}}.later(),
    m.mask);
  v(ConfigKey{"model.mask_span", "prefix, window: tokens of it", 0, 1 << 20}.later(), m.mask_span);
  v(ConfigKey{"model.init_sd", "sd of the initial matrices and embeddings; 0 takes 1 / sqrt(width)", 0, 10},
    m.init_sd);
  v(ConfigKey{"model.base_width",
              "width at which learning rates and initial values are as given, and scale from; 0 is off", 0,
              65536}
        .later(),
    m.base_width);
}

template <class Config, class Visitor>
void visit_data(Config& d, Visitor&& v) {
  v(ConfigKey{"data.path", "token file made by `loglog data`"}.aside(), d.path);
  v(ConfigKey{"data.split", "how validation blocks are chosen", 0, 0, {"hashed", "position"}}, d.split);
  v(ConfigKey{"data.val_share", "share of the tokens kept for validation", 1e-6, 0.9}, d.val_share);
  v(ConfigKey{"data.mixture", "\"name=weight,...\" of sources; empty takes them by their sizes"}.later(),
    d.mixture);
  v(ConfigKey{"data.documents",
              "mask keeps attention, positions and targets inside a document",
              0,
              0,
              {"ignore", "mask"}}
        .later(),
    d.documents);
}

// How a run is carried out; changes no result.
template <class Config, class Visitor>
void visit_conduct(Config& t, Visitor&& v) {
  constexpr double kBig = 1e15;
  v(
      ConfigKey{
          "train.recompute", "what backward computes again instead of keeping it", 0, 0, {"none", "blocks"}}
          .aside(),
      t.recompute);
  v(ConfigKey{"train.pack_weights", "keep weights packed for a step's products of bfloat16, 4 bytes each", 0,
              1}
        .aside(),
    t.pack_weights);
  v(ConfigKey{"train.checkpoint_every", "steps between checkpoints; 0 is only at the end", 0, kBig}.aside(),
    t.checkpoint_every);
  v(ConfigKey{"train.keep_every", "steps between checkpoints that stay; 0 keeps the two newest alone", 0,
              kBig}
        .aside(),
    t.keep_every);
  v(ConfigKey{"train.keep_at", "steps whose checkpoints stay too, \"1200,2400\""}.aside(), t.keep_at);
  v(ConfigKey{"train.record_every", "steps between step events of the record", 1, kBig}.aside(),
    t.record_every);
  v(ConfigKey{"train.threads", "threads; 0 is as many as train fastest here", 0, 4096}.aside(), t.threads);
  v(ConfigKey{"train.isa", "instruction-set row, see `loglog doctor`"}.aside(), t.isa);
}

template <class Config, class Visitor>
void visit_train(Config& t, Visitor&& v) {
  constexpr double kBig = 1e15;
  v(ConfigKey{"train.batch", "sequences per step", 1, kBig}, t.batch);
  v(ConfigKey{"train.micro_batch", "sequences per pass; 0 is automatic", 0, kBig}, t.micro_batch);
  v(ConfigKey{"train.first_batch", "sequences of the first step of a ramp; 0: none", 0, kBig}.later(),
    t.first_batch);
  v(ConfigKey{"train.batch_ramp", "length of the ramp: share of the steps if below 1, else steps", 0, kBig}
        .later(),
    t.batch_ramp);
  v(ConfigKey{"train.steps", "optimiser steps", 0, kBig}, t.steps);
  v(ConfigKey{"train.tokens", "when above 0, sets train.steps = ceil(tokens / (batch * context))", 0, kBig},
    t.tokens);
  v(ConfigKey{"train.size_rule",
              "sets lr, min_lr in proportion, and batch from the model's size",
              0,
              0,
              {"none", "porian", "bytes"}}
        .later(),
    t.size_rule);
  v(ConfigKey{"train.lr", "highest learning rate", 0, 1e6}, t.lr);
  v(ConfigKey{"train.min_lr", "learning rate where the decay ends", 0, 1e6}, t.min_lr);
  v(ConfigKey{"train.warmup", "linear warm-up: share of the steps if below 1, else steps", 0, kBig},
    t.warmup);
  v(
      ConfigKey{
          "train.schedule", "learning-rate schedule", 0, 0, {"cosine", "wsd", "constant", "inverse-sqrt"}},
      t.schedule);
  v(ConfigKey{"train.horizon", "steps that cosine and wsd are laid out for; 0: the run's own", 0, kBig}
        .later(),
    t.horizon);
  v(ConfigKey{"train.decay_share", "wsd: share of the steps that decay, linearly", 0, 1}, t.decay_share);
  v(ConfigKey{"train.optimizer", "which one", 0, 0, {"adamw", "sgd", "adafactor"}}.later(), t.optimizer);
  v(ConfigKey{"train.beta1", "AdamW: decay of the first moment; SGD: momentum", 0, 0.999999}, t.beta1);
  v(ConfigKey{"train.beta2", "AdamW: decay of the second moment", 0, 0.9999999}, t.beta2);
  v(ConfigKey{"train.epsilon", "AdamW: added to the root of the second moment", 1e-30, 1}, t.epsilon);
  v(ConfigKey{"train.weight_decay", "decoupled decay of matrices and embeddings", 0, 1e3}, t.weight_decay);
  v(ConfigKey{"train.clip", "largest global gradient norm; 0 is off", 0, 1e9}, t.clip);
  v(ConfigKey{"train.dropout", "share of embeddings and branches that is dropped", 0, 0.99}.later(),
    t.dropout);
  v(ConfigKey{"train.z_loss", "weight of the squared log-denominator in the loss", 0, 1}.later(), t.z_loss);
  v(ConfigKey{"train.spike", "loss that counts as a spike, robust sds above the median; 0 is off", 0, 1e9}
        .later(),
    t.spike);
  v(ConfigKey{"train.spike_skip", "steps of data to skip behind a spike", 0, 1e6}.later(), t.spike_skip);
  v(ConfigKey{"train.rollback_every", "steps between states to go back to", 1, kBig}.later(),
    t.rollback_every);
  v(ConfigKey{"train.precision", "number format of products and what they keep", 0, 0, {"f32", "bf16"}},
    t.precision);
  v(ConfigKey{"train.seed", "of initial weights and of the order of the data", 0, 9.0e18}, t.seed);
  visit_conduct(t, v);
}

template <class Config, class Visitor>
void visit_eval(Config& e, Visitor&& v) {
  constexpr double kBig = 1e15;
  v(ConfigKey{"eval.every", "steps between evaluations; 0 is only at the end", 0, kBig}.aside(), e.every);
  v(ConfigKey{"eval.tokens", "validation tokens per evaluation; 0 is the whole validation part", 0, kBig},
    e.tokens);
}

template <class Config, class Visitor>
void visit_fork(Config& f, Visitor&& v) {
  constexpr double kBig = 1e15;
  v(ConfigKey{"fork.parent", "run that this one comes from; set by --fork"}.later(), f.parent);
  v(ConfigKey{"fork.step", "of the parent's checkpoint; set by --fork", 0, kBig}.later(), f.step);
  v(ConfigKey{"fork.restart", "took parameters alone; set by --fork --restart", 0, 1}.later(), f.restart);
}

// v(key, member) for every key in order. Members are Index, int, std::uint64_t, bool, float, double or std::string.
template <class Config, class Visitor>
void visit(Config& c, Visitor&& v) {
  visit_model(c.model, v);
  visit_data(c.data, v);
  visit_train(c.train, v);
  visit_eval(c.eval, v);
  visit_fork(c.fork, v);
}

// The values of all keys in their order, as identities and messages have them.
std::vector<std::string> value_texts(const RunConfig& config);

// "train.lr (there 0.01, here 0.5)": the first of the keys that count in which two configurations differ; empty when none does.
std::string first_difference(const RunConfig& here, const RunConfig& there,
                             const std::function<bool(const ConfigKey&)>& counts);

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

// The steps of train.keep_at, ascending; UsageError for what is no list of steps.
std::vector<Index> steps_kept(std::string_view keep_at);

// 32 hexadecimal digits (128-bit xxh3) over every key that changes the result, the data's checksum included
// and its path not. Two runs with the same identity are the same run.
std::string identity(const RunConfig& resolved, std::string_view data_checksum);

}  // namespace loglog::model
