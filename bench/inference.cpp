// bench_inference: a model in float32 and in the form of a scheme, in turn in one process: a prompt, then one sequence token by token, beside
// the rate at which memory is read at that time.
//
//   bench_inference MODEL [--scheme llm-int8] [--table bf16] [--isa ROW] [--threads N] [--rounds N] [--prompt 512]
//
// MODEL is a run, a model folder or a folder of Hugging Face; both forms are in memory at once. One JSON object: a number for each
// round. bench/inference_speed.py makes such a model and a table of what it writes.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "base/seconds.hpp"
#include "bench/command_line.hpp"
#include "bench/program.hpp"
#include "bench_commit.hpp"
#include "formats/hf.hpp"
#include "formats/imported.hpp"
#include "infer/decoder.hpp"
#include "kernels/isa.hpp"
#include "kernels/peak.hpp"
#include "kernels/profile.hpp"
#include "kernels/threads.hpp"
#include "quant/model_file.hpp"
#include "quant/running_model.hpp"

namespace loglog::bench {
namespace {

using Json = nlohmann::ordered_json;
using kernels::Index;

constexpr Index kDecoded = 24;  // tokens one by one

struct Options {
  std::string model, scheme = "llm-int8", table = "bf16", isa = "auto";
  int threads = static_cast<int>(std::thread::hardware_concurrency()), rounds = 7;
  Index prompt = 512;
};

model::OpenedModel open(const std::string& path) {
  if (quant::is_quantized_folder(path))
    throw UsageError(fmt::format(
        "'{}' is quantised: name the float model that it was made of, which is measured in both forms",
        path));
  return formats::is_hf_folder(path) ? formats::open_hf(path).model : model::open_model(path);
}

quant::Plan plan_of(const Options& o) {
  quant::Plan plan{quant::find_scheme(o.scheme)};
  if (plan.scheme.migration > 0)
    throw UsageError(fmt::format("--scheme {} is calibrated with data, which nothing is here", o.scheme));
  const auto* form = std::ranges::find(quant::kTableForms, o.table);
  plan.table = static_cast<quant::TableForm>(form - std::begin(quant::kTableForms));
  return plan;
}

// One form of the model, and what was measured of it.
class Line {
 public:
  Line(const Options& o, const quant::Setting& setting, const model::OpenedModel& opened,
       const quant::ModelForm* form)
      : o_(o),
        model_(setting, opened, form, infer::decoding_shape(opened.config.model, 1)),
        decoder_(model_.gpt(), 1),
        tokens_(static_cast<std::size_t>(std::max(o.prompt, kDecoded))) {
    for (std::size_t i = 0; i < tokens_.size(); ++i)
      tokens_[i] = static_cast<data::Token>(i % static_cast<std::size_t>(opened.config.model.vocab));
  }

  void measure() {
    read(0, 1);  // warm
    const double peak = memory_rate();
    kernels::ExecContext ctx = model_.context();
    ctx.profile = &profile_;
    decoder_.forget(0);
    const double seconds = seconds_of([&] {
      for (Index i = 0; i < kDecoded; ++i) next(ctx, i, 1);
    });
    decode_.push_back(static_cast<double>(kDecoded) / seconds);
    read_.push_back((peak + memory_rate()) / 2);
    decoder_.forget(0);
    prompt_.push_back(static_cast<double>(o_.prompt) / seconds_of([&] { read(0, o_.prompt); }));
    decoder_.forget(0);
  }

  Json json() const {
    Json seconds = Json::object();
    for (std::size_t f = 0; f < std::size(kernels::kKernelFamilies); ++f)
      if (profile_.seconds[f] > 0)
        seconds[std::string(kernels::kKernelFamilies[f])] =
            profile_.seconds[f] / static_cast<double>(kDecoded) / static_cast<double>(decode_.size());
    return {{"weight_bytes", model_.weight_bytes()},
            {"prompt_tokens_per_s", prompt_},
            {"decode_tokens_per_s", decode_},
            {"read_bytes_per_s", read_},
            {"decode_seconds_per_token", seconds}};
  }

 private:
  void next(kernels::ExecContext& ctx, Index first, Index count) {
    const infer::Piece piece{0, std::span<const data::Token>(tokens_).subspan(
                                    static_cast<std::size_t>(first), static_cast<std::size_t>(count))};
    decoder_.next(ctx, std::span(&piece, 1));
  }
  void read(Index first, Index count) {
    kernels::ExecContext ctx = model_.context();
    next(ctx, first, count);
  }
  double memory_rate() const {
    constexpr std::size_t kBytes = std::size_t{1} << 30;
    const quant::Setting& s = model_.setting();
    return kernels::sample_read_bytes(s.table, s.threads, kBytes / static_cast<std::size_t>(s.threads), 0.1);
  }

  const Options& o_;
  quant::RunningModel model_;
  infer::Decoder decoder_;
  std::vector<data::Token> tokens_;
  std::vector<double> prompt_, decode_, read_;
  kernels::Profile profile_;
};

int run(const Options& o) {
  const quant::Setting setting{kernels::select_table(o.isa), kernels::usable_threads(o.threads),
                               model::FloatType::float32};
  const quant::Plan plan = plan_of(o);
  const model::OpenedModel opened = open(o.model);
  const Index context = opened.config.model.context, needed = std::max(o.prompt, kDecoded);
  if (needed > context)
    throw UsageError(
        fmt::format("{} tokens of a model with a context of {}: --prompt takes fewer", needed, context));
  const quant::WeightsOfModel weights(opened, plan, {});
  Line float32(o, setting, opened, nullptr), other(o, setting, opened, &weights);
  for (int round = 0; round < o.rounds; ++round) float32.measure(), other.measure();
  const Json result = {{"model", o.model},        {"isa", setting.table.name}, {"threads", setting.threads},
                       {"commit", LOGLOG_COMMIT}, {"flags", LOGLOG_FLAGS},     {"prompt", o.prompt},
                       {"decoded", kDecoded},     {"scheme", o.scheme},        {"table", o.table},
                       {"f32", float32.json()},   {"quantized", other.json()}};
  fmt::print("{}\n", json_text(result));
  return 0;
}

}  // namespace
}  // namespace loglog::bench

int main(int argc, char** argv) {
  using namespace loglog::bench;
  Options o;
  CLI::App app("A model in float32 and quantised, in turn: prompt, decode, memory's rate");
  app.add_option("MODEL", o.model)->required();
  app.add_option("--scheme", o.scheme)->capture_default_str();
  app.add_option("--table", o.table)->check(CLI::IsMember({"f32", "bf16", "int8"}))->capture_default_str();
  app.add_option("--isa", o.isa)->capture_default_str();
  app.add_option("--threads", o.threads)->check(CLI::Range(1, kMostThreads))->capture_default_str();
  app.add_option("--rounds", o.rounds)->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--prompt", o.prompt)->check(CLI::Range(1, 1 << 20))->capture_default_str();
  return run_program("bench_inference",
                     [&] { return parse_and_run(app, argc, argv, [&] { return run(o); }); });
}
