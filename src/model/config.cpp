#include "model/config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>
#include <type_traits>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/items.hpp"
#include "base/json_text.hpp"
#include "model/batch_size.hpp"
#include "model/config_value.hpp"
#include "model/size_rule.hpp"

namespace loglog::model {
namespace {

template <class Member>
constexpr std::string_view type_name() {
  if constexpr (std::is_same_v<Member, std::string>) return "a string";
  if constexpr (std::is_same_v<Member, bool>) return "true or false";
  if constexpr (std::is_integral_v<Member>) return "a whole number";
  return "a number";
}

[[noreturn]] void refuse_type(const ConfigKey& key, std::string_view type, const ConfigValue& value,
                              std::string_view where) {
  throw UsageError(fmt::format("{}: {} must be {}, not {}", where, key.name, type, value_text(value)));
}

void require_choice(const std::string& value, const ConfigKey& key, std::string_view where) {
  const auto& choices = key.choices;
  if (choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  throw UsageError(
      fmt::format("{}: {} is '{}', must be one of: {}", where, key.name, value, fmt::join(choices, ", ")));
}

// The number, once it is known to lie in the key's range and, with it, in that of Member: to convert another one is
// undefined. 1e6 is a whole number, as people write token counts that way.
template <class Member>
Member checked_number(const ConfigKey& key, const ConfigValue& value, std::string_view where) {
  const auto* whole = std::get_if<std::int64_t>(&value);
  const auto* real = std::get_if<double>(&value);
  const bool is_number =
      whole != nullptr || (real != nullptr && (!std::is_integral_v<Member> || *real == std::trunc(*real)));
  if (!is_number) refuse_type(key, type_name<Member>(), value, where);
  const double number = whole != nullptr ? static_cast<double>(*whole) : *real;
  if (!(number >= key.low && number <= key.high)) {
    throw UsageError(fmt::format("{}: {} is {}, must be from {} to {}", where, key.name, value_text(value),
                                 key.low, key.high));
  }
  return whole != nullptr ? static_cast<Member>(*whole) : static_cast<Member>(*real);
}

template <class Member>
void set_member(Member& member, const ConfigKey& key, const ConfigValue& value, std::string_view where) {
  if constexpr (std::is_same_v<Member, std::string> || std::is_same_v<Member, bool>) {
    const auto* same = std::get_if<Member>(&value);
    if (same == nullptr) refuse_type(key, type_name<Member>(), value, where);
    if constexpr (std::is_same_v<Member, std::string>) require_choice(*same, key, where);
    member = *same;
  } else {
    member = checked_number<Member>(key, value, where);
  }
}

std::vector<std::string_view> key_names() {
  std::vector<std::string_view> names;
  const RunConfig defaults;
  visit(defaults, [&](const ConfigKey& key, const auto&) { names.push_back(key.name); });
  return names;
}

// true, 12, 1e-3 as what they are, anything else as a string.
ConfigValue parse_scalar(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  const char* const end = text.data() + text.size();
  std::int64_t whole = 0;
  if (const auto r = std::from_chars(text.data(), end, whole); r.ec == std::errc() && r.ptr == end)
    return whole;
  double real = 0;
  if (const auto r = std::from_chars(text.data(), end, real); r.ec == std::errc() && r.ptr == end)
    return real;
  return std::string(text);
}

// What shapes of a model no single key shows.
void require_sound_model(const ModelConfig& m) {
  if (m.width % m.heads != 0) {
    throw UsageError(
        fmt::format("model.width ({}) must be a multiple of model.heads ({})", m.width, m.heads));
  }
  if (m.heads % m.key_heads() != 0) {
    throw UsageError(
        fmt::format("model.heads ({}) must be a multiple of model.kv_heads ({})", m.heads, m.kv_heads));
  }
  const bool has_span = m.mask == "prefix" || m.mask == "window";
  if (has_span != (m.mask_span > 0)) {
    throw UsageError(fmt::format(
        "model.mask is {} and model.mask_span {}: a prefix or a window has a span, others have none", m.mask,
        m.mask_span));
  }
  if (m.mask == "full") {
    throw UsageError(
        "model.mask is full: every token sees those that it would have to predict, so that there is nothing "
        "to "
        "train it on; causal, window or prefix");
  }
  if (m.mask == "prefix" && m.mask_span >= m.context) {
    throw UsageError(
        fmt::format("model.mask_span ({}) must be below model.context ({}): what a prefix shows is no target",
                    m.mask_span, m.context));
  }
  if (m.position == "rope" && m.rotary_pairs() == 0) {
    throw UsageError(fmt::format("model.rope_share is {}: of a head of {} elements no pair would turn",
                                 m.rope_share, m.head_size()));
  }
  if (!m.has_mlp() && m.mlp_width > 0)
    throw UsageError(fmt::format("model.mlp_width is {}, but model.mlp is none", m.mlp_width));
}

void require_scalable_width(const RunConfig& c) {
  if (c.model.base_width == 0) return;
  if (c.model.norm == "none")
    throw UsageError("model.base_width scales the logits by the final norm's gain, and model.norm is none");
  if (c.train.optimizer == "sgd")
    throw UsageError("model.base_width scales learning rates as AdamW and Adafactor need it, not sgd");
}

// The largest divisor of the batch whose activations stay below a size that shape alone decides: a rule that
// looked at the machine's memory would change the order of sums, and so the bits, from one machine to the next.
Index automatic_micro_batch(const RunConfig& c) {
  constexpr double kActivationBytes = 512.0 * (1 << 20);
  const ModelConfig& m = c.model;
  const double row_floats = static_cast<double>(m.layers * 10 * m.width + 2 * m.vocab);
  const double rows = kActivationBytes / (sizeof(float) * row_floats);
  const auto limit = static_cast<Index>(rows / static_cast<double>(m.context));
  const Index whole = std::gcd(c.train.batch, c.train.first_batch);  // of both ends of a ramp
  Index micro = std::min(whole, std::max<Index>(1, limit));
  while (whole % micro != 0) --micro;
  return micro;
}

// Tokens are counted in 64 bits; the keys' own ranges allow products that are larger.
void require_countable(double tokens, std::string_view what) {
  if (tokens <= kMostTokens) return;
  throw UsageError(fmt::format("{} is {:.3g} tokens, must be at most {:g}", what, tokens, kMostTokens));
}

void require_countable_run(const RunConfig& c) {
  const OptimConfig& t = c.train;
  const auto batch_tokens = static_cast<double>(t.batch) * static_cast<double>(c.model.context);
  require_countable(batch_tokens, "train.batch x model.context");
  if (t.tokens > 0) return;  // steps follow from them
  require_countable(static_cast<double>(t.steps) * batch_tokens, "train.steps x train.batch x model.context");
}

void require_whole_passes(const OptimConfig& t) {
  if (t.batch % t.micro_batch != 0) {
    throw UsageError(
        fmt::format("train.batch ({}) must be a multiple of train.micro_batch ({})", t.batch, t.micro_batch));
  }
  if (t.first_batch % t.micro_batch != 0) {
    throw UsageError(fmt::format("train.first_batch ({}) must be a multiple of train.micro_batch ({})",
                                 t.first_batch, t.micro_batch));
  }
  if (t.first_batch > t.batch) {
    throw UsageError(fmt::format("train.first_batch ({}) is above train.batch ({}): a ramp goes up",
                                 t.first_batch, t.batch));
  }
  if (t.first_batch > 0 && (t.batch - t.first_batch) / t.micro_batch > kMostRises) {
    throw UsageError(fmt::format(
        "a ramp from train.first_batch ({}) to train.batch ({}) in passes of train.micro_batch ({}) "
        "sequences has more than {} rises",
        t.first_batch, t.batch, t.micro_batch, kMostRises));
  }
}

// Which elements are dropped is numbered in 32 bits within a step (kernels/rowwise/dropout.hpp).
void require_numbered_dropout(const RunConfig& c) {
  const double elements = static_cast<double>(c.train.batch) * static_cast<double>(c.model.context) *
                          static_cast<double>(c.model.width);
  if (c.train.dropout == 0 || elements <= 0x1p32) return;
  throw UsageError(fmt::format(
      "train.dropout: train.batch x model.context x model.width is {:.3g}, must be at most 2^32", elements));
}

// Steps from tokens, whose number a ramp of small batches may make large.
void follow_tokens(RunConfig& c) {
  OptimConfig& t = c.train;
  if (t.tokens == 0) return;
  const auto least = static_cast<double>(t.first_batch > 0 ? t.first_batch : t.batch);
  require_countable(static_cast<double>(t.tokens) / least * static_cast<double>(t.batch),
                    "train.tokens / train.first_batch x train.batch");
  t.steps = steps_for(t, kernels::ceil_div(t.tokens, c.model.context));
  t.tokens = 0;
}

// Leaves "none": what it decided is what the run has.
void follow_size_rule(RunConfig& c) {
  OptimConfig& t = c.train;
  require_countable_run(c);
  const Index tokens = t.tokens > 0 ? t.tokens : t.steps * t.batch * c.model.context;
  const SizeRule rule = apply_size_rule(t.size_rule, c.model, static_cast<double>(tokens));
  if (t.tokens == 0) t.tokens = tokens;  // as many as asked for, in steps of the new batch
  t.min_lr = t.lr > 0 ? t.min_lr * rule.lr / t.lr : 0.0;
  t.lr = rule.lr;
  t.batch = rule.batch;
  t.size_rule = "none";
}

// A schedule that its run cannot hold is a mistake in the configuration, mostly a warm-up in steps for another length.
void require_fitting_schedule(const OptimConfig& t) {
  if (t.steps == 0) return;  // nothing is scheduled
  const double steps = static_cast<double>(t.steps);
  if (t.warmup > steps) {
    throw UsageError(
        fmt::format("train.warmup is {} steps, the run has {}: it would end before it reaches train.lr",
                    t.warmup, t.steps));
  }
  // decay_share 1 asks for what the warm-up leaves, the "linear" schedule of others.
  constexpr double kRounding = 1e-9;
  const double warmup_share = t.warmup < 1 ? t.warmup : t.warmup / steps;
  if (t.schedule == "wsd" && t.decay_share < 1 && warmup_share + t.decay_share > 1 + kRounding) {
    throw UsageError(fmt::format(
        "train.warmup is {:.3g} of the run's {} steps, train.decay_share {}: together more than the "
        "run; decay_share 1 decays over all that the warm-up leaves",
        warmup_share, t.steps, t.decay_share));
  }
}

}  // namespace

std::vector<std::string> value_texts(const RunConfig& config) {
  std::vector<std::string> values;
  visit(config, [&](const ConfigKey&, const auto& member) { values.push_back(fmt::format("{}", member)); });
  return values;
}

std::string first_difference(const RunConfig& here, const RunConfig& there,
                             const std::function<bool(const ConfigKey&)>& counts) {
  const std::vector<std::string> values = value_texts(there);
  std::string difference;
  std::size_t i = 0;
  visit(here, [&](const ConfigKey& key, const auto& member) {
    const std::string value = fmt::format("{}", member);
    if (difference.empty() && counts(key) && value != values[i])
      difference = fmt::format("{} (there {}, here {})", key.name, values[i], value);
    ++i;
  });
  return difference;
}

std::string value_text(const ConfigValue& value) {
  return std::visit(
      [](const auto& v) {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::string>)
          return fmt::format("'{}'", v);
        else
          return fmt::format("{}", v);
      },
      value);
}

void set_key(RunConfig& config, std::string_view name, const ConfigValue& value, std::string_view where) {
  bool found = false;
  visit(config, [&](const ConfigKey& key, auto& member) {
    if (key.name != name) return;
    found = true;
    set_member(member, key, value, where);
  });
  if (found) return;
  const std::vector<std::string_view> names = key_names();
  const std::string nearest = nearest_name(name, names);
  throw UsageError(fmt::format("{}: unknown key '{}'{} (`loglog train --keys` lists all)", where, name,
                               nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest)));
}

void apply_set(RunConfig& config, std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) {
    throw UsageError(fmt::format("--set {}: expected key=value, for example train.lr=0.01", assignment));
  }
  const std::string_view name = assignment.substr(0, equals);
  const std::string_view text = assignment.substr(equals + 1);
  bool is_string = false;
  visit(config, [&](const ConfigKey& key, const auto& member) {
    if (key.name == name) is_string = std::is_same_v<std::decay_t<decltype(member)>, std::string>;
  });
  set_key(config, name, is_string ? ConfigValue(std::string(text)) : parse_scalar(text), "--set");
}

void resolve(RunConfig& config, Index data_vocab) {
  ModelConfig& m = config.model;
  OptimConfig& t = config.train;
  require_sound_model(m);
  require_scalable_width(config);
  if (m.vocab == 0) m.vocab = data_vocab;
  if (m.vocab < data_vocab) {
    throw UsageError(fmt::format("model.vocab is {}, but the data has {} tokens (0 takes the data's)",
                                 m.vocab, data_vocab));
  }
  if (as_utf8(config.data.path) != config.data.path) {
    throw UsageError(
        fmt::format("data.path is '{}', which is not UTF-8, as the configuration of a run must be: "
                    "rename the file or make a link to it",
                    config.data.path));
  }
  m.init_sd = m.weight_sd();
  if (t.size_rule != "none") follow_size_rule(config);
  if (t.min_lr > t.lr)
    throw UsageError(fmt::format("train.min_lr ({}) is above train.lr ({})", t.min_lr, t.lr));
  require_countable_run(config);
  if (t.micro_batch == 0) t.micro_batch = automatic_micro_batch(config);
  require_whole_passes(t);
  follow_tokens(config);
  require_countable_run(config);
  require_numbered_dropout(config);
  if (t.warmup >= 1 && t.warmup != std::floor(t.warmup)) {
    throw UsageError(
        fmt::format("train.warmup is {}: a share below 1, or a whole number of steps", t.warmup));
  }
  require_fitting_schedule(t);
  if (t.horizon > 0 && t.horizon < t.steps)
    throw UsageError(
        fmt::format("train.horizon is {}, fewer than the {} steps of the run", t.horizon, t.steps));
  steps_kept(t.keep_at);
}

std::vector<Index> steps_kept(std::string_view keep_at) {
  std::vector<Index> steps;
  if (keep_at.empty()) return steps;
  for (const std::string_view item : items_of(keep_at)) {
    Index step = 0;
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), step);
    if (error != std::errc() || end != item.data() + item.size() || step < 1)
      throw UsageError(
          fmt::format("train.keep_at is '{}', must be steps with commas between, 1200,2400", keep_at));
    steps.push_back(step);
  }
  std::ranges::sort(steps);
  return steps;
}

std::string identity(const RunConfig& resolved, std::string_view data_checksum) {
  std::string text = fmt::format("loglog run 1\ndata {}\n", data_checksum);
  const RunConfig defaults;
  const std::vector<std::string> usual = value_texts(defaults);
  std::size_t i = 0;
  visit(resolved, [&](const ConfigKey& key, const auto& member) {
    const std::string value = fmt::format("{}", member);
    const bool counts = key.changes_result && (!key.came_later || value != usual[i]);
    if (counts) text += fmt::format("{}={}\n", key.name, value);
    ++i;
  });
  return hash_hex(std::as_bytes(std::span(text)));
}

}  // namespace loglog::model
