#include "sweep/training.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <future>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.hpp"
#include "data/batcher.hpp"
#include "data/split.hpp"
#include "data/token_file.hpp"
#include "kernels/threads.hpp"
#include "model/checkpoint.hpp"
#include "train/bench.hpp"
#include "train/choose_table.hpp"
#include "train/trainer.hpp"

namespace loglog::sweep {
namespace {

using Json = nlohmann::ordered_json;

std::vector<Json> read_record(const Path& folder) {
  std::vector<Json> events;
  std::string_view rest;
  const std::string text = read_text(folder / "record.jsonl");
  for (rest = text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    // A former holder of the lease that woke up late may have added half a line.
    if (Json event = Json::parse(rest.substr(0, end), nullptr, false); event.is_object())
      events.push_back(std::move(event));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return events;
}

std::optional<double> finite_loss(const Json& event, const char* key) {
  const auto found = event.find(key);
  if (found == event.end() || !found->is_number()) return std::nullopt;  // "nan" is text
  return found->get<double>();
}

// Evaluations all, training losses thinned to every k-th step and the last. What a spike undid is not part of the run.
std::vector<CurvePoint> curve_of(const std::vector<Json>& events) {
  std::map<std::int64_t, CurvePoint> points;
  const auto steps = static_cast<std::size_t>(std::count_if(
      events.begin(), events.end(), [](const Json& e) { return e.value("event", "") == "step"; }));
  const std::size_t stride = 1 + steps / kMostTrainingLosses;
  std::size_t seen = 0;
  for (const Json& event : events) {
    const std::string kind = event.value("event", "");
    if (kind == "spike")
      points.erase(points.upper_bound(event.at("back_to").get<std::int64_t>()), points.end());
    if (kind != "eval" && kind != "step") continue;
    const bool is_step = kind == "step";
    if (is_step && ++seen % stride != 0 && seen != steps) continue;
    const std::int64_t step = event.at("step");
    CurvePoint& point = points.try_emplace(step, CurvePoint{step, event.at("tokens"), {}, {}}).first->second;
    if (is_step)
      point.train_loss = finite_loss(event, "train_loss");
    else
      point.val_loss = finite_loss(event, "val_loss");
  }
  std::vector<CurvePoint> curve;
  for (const auto& [step, point] : points) curve.push_back(point);
  return curve;
}

Outcome outcome_of(const train::TrainResult& result, const Path& folder) {
  const std::vector<Json> events = read_record(folder);
  const Json& end = result.end_event;
  Outcome outcome;
  outcome.seconds = end.value("seconds", 0.0);
  outcome.curve = curve_of(events);
  if (result.status == train::Status::diverged) {
    outcome.state = State::diverged;
    outcome.error = fmt::format("diverged after {} tokens", end.at("tokens").dump());
  } else {
    outcome.loss = result.val_loss;
  }
  outcome.end = end.dump();
  return outcome;
}

// Step of the checkpoint that an interrupted run left, 0 for none.
std::int64_t begun_at(const Path& folder) {
  const auto newest = model::CheckpointFolder(real_file_system(), folder / model::kCheckpointFolder).newest();
  return newest ? newest->step : 0;
}

// What a fork goes on from: its parent's checkpoint, in the folder beside its own.
train::ForkOrigin origin_of(const RunSpec& spec, const Path& folder) {
  const std::optional<Path> parent = kept_run_in(folder.parent_path().parent_path(), spec.parent);
  if (!parent)
    throw InputError(
        fmt::format("{}: the checkpoints of the run that it is forked from are gone; without share_trunks it "
                    "is trained by itself",
                    spec.name));
  return train::find_fork_origin(real_file_system(),
                                 *parent / model::kCheckpointFolder / model::manifest_name(spec.fork_step));
}

// The end event, with what its run was foretold in.
std::string with_prediction(const std::string& end, const std::string& registration) {
  Json event = Json::parse(end);
  event["prediction"] = Json::parse(registration);
  return event.dump();
}

// The row of what an interrupted run left in its folder. A damaged rest is cleared away and the run starts anew: it
// ends the same, and one bad file must not hold up a sweep.
std::string row_of_sound_rest(const Path& folder) {
  try {
    const auto newest =
        model::CheckpointFolder(real_file_system(), folder / model::kCheckpointFolder).newest();
    if (!newest) return "";
    model::CheckpointFolder(real_file_system(), folder / train::kRollbackFolder).newest();
    std::error_code absent;
    const auto bytes = std::filesystem::file_size(folder / "record.jsonl", absent);
    if (!absent && bytes >= newest->record_bytes) return newest->isa;
  } catch (const InputError&) {  // cleared below
  }
  real_file_system().remove_all(folder);
  real_file_system().create_directories(folder);
  return "";
}

}  // namespace

RunFunction trainer(const TrainingOptions& options) {
  return [options](const RunSpec& spec, const Path& folder,
                   const RunControl& control) -> std::optional<Outcome> {
    model::RunConfig config = model::from_json(spec.config, spec.name);
    if (!options.data.empty()) config.data.path = options.data.native();
    std::string begun = row_of_sound_rest(folder);
    if (const auto sweep = options.rows.find(spec.sweep); begun.empty() && sweep != options.rows.end())
      begun = sweep->second;
    train::TrainOptions train_options{train::choose_table(options.isa, config.train.isa, begun),
                                      kernels::usable_threads(options.threads), folder};
    train_options.expected = train::ExpectedRun{spec.identity, spec.data_checksum};
    train_options.resume = true;
    if (!spec.parent.empty() && begun_at(folder) == 0) train_options.fork = origin_of(spec, folder);
    train_options.exclusive = false;
    train_options.binary_hash = options.binary_hash;
    train_options.stop_requested = control.stop_requested;
    train_options.on_progress = [&](const train::Progress& progress) { control.on_step(progress.step); };
    const train::TrainResult result = train::train(config, train_options);
    if (result.status == train::Status::checkpointed) return std::nullopt;
    Outcome outcome = outcome_of(result, folder);
    if (const auto kept = options.registrations.find(spec.sweep); kept != options.registrations.end())
      outcome.end = with_prediction(outcome.end, kept->second);
    return outcome;
  };
}

namespace {

// What `make` makes; how long it took, in `seconds`.
auto timed(double& seconds, const auto& make) {
  const auto begin = std::chrono::steady_clock::now();
  auto made = make();
  seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return made;
}

const std::string& named_data(const model::RunConfig& base) {
  if (!base.data.path.empty()) return base.data.path;
  throw UsageError("data.path is not set: the sweep file needs [data] path = \"F.tok\"");
}

}  // namespace

DataReader::DataReader(const model::RunConfig& base)
    : file_(timed(seconds_, [&] { return data::TokenFile::open(named_data(base)); })) {}

const SweepData& DataReader::operator()(const model::RunConfig& config) {
  const model::DataConfig& d = config.data;
  const model::Index context = config.model.context, prefix = config.model.mutual_prefix();
  const std::string way = fmt::format("{} {} {} {} {} {} {}", d.split, d.val_share, d.mixture, d.documents,
                                      context, prefix, config.eval.tokens);
  if (const auto found = known_.find(way); found != known_.end()) return found->second;
  double seconds = 0;
  SweepData data = timed(seconds, [&] {
    const data::SplitRanges split = data::make_split(file_, d.split, d.val_share);
    const data::Documents documents = data::documents_rule(d.documents);
    const data::Batcher batcher(file_, split.train, context, config.train.seed, d.mixture, documents, prefix);
    const data::FixedSample sample(file_, split.validation, context,
                                   static_cast<std::uint64_t>(config.eval.tokens), documents, prefix);
    const DataFacts facts = {static_cast<model::Index>(file_.vocab_size()), file_.checksum_text(),
                             static_cast<double>(batcher.tokens_per_epoch())};
    return SweepData{facts, static_cast<double>(sample.tokens())};
  });
  data.open_seconds = seconds_ + seconds;
  return known_[way] = std::move(data);
}

model::Index calibration_batch(const model::RunConfig& config) {
  constexpr model::Index kTokens = 8192;  // per step: above, time goes with tokens, not with steps
  const auto batch = std::clamp<model::Index>(kTokens / config.model.context, 1, config.train.batch);
  return static_cast<model::Index>(std::bit_floor(static_cast<std::uint64_t>(batch)));
}

MeasuredRate measure_rate(const model::RunConfig& config, const kernels::KernelTable& kernels,
                          int processors) {
  constexpr double kSeconds = 0.4;  // per measurement: long enough for the clock to settle
  model::RunConfig sample = config;
  sample.train.batch = calibration_batch(config);
  sample.train.micro_batch = 0;
  const data::TokenFile file = data::TokenFile::open(sample.data.path);
  const auto bench = [&](int threads, model::Index steps) {
    return train::bench_steps(sample, file, kernels, threads, steps);
  };
  MeasuredRate rate;
  const double step_seconds = bench(processors, 3).seconds_per_step;
  const auto steps = static_cast<model::Index>(std::clamp(kSeconds / step_seconds, 5.0, 200.0));
  rate.alone = bench(processors, steps).tokens_per_s;
  rate.side_by_side = rate.alone / processors;
  if (processors == 1 || run_memory_bytes(sample, kernels, 1) * processors > free_memory_bytes()) return rate;
  std::vector<std::future<double>> rates;
  for (int i = 0; i < processors; ++i) {
    rates.push_back(std::async(std::launch::async, [&] { return bench(1, steps).tokens_per_s; }));
  }
  double sum = 0;
  for (std::future<double>& one : rates) sum += one.get();  // or throws what bench_steps threw
  rate.side_by_side = sum / processors;
  return rate;
}

double free_disk_bytes(const Path& file) {
  const Path folder = file.has_parent_path() ? file.parent_path() : Path(".");
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(folder, error);
  if (error) throw IoError("cannot ask for free space", folder.native(), error.value());
  return static_cast<double>(space.available);
}

double free_memory_bytes() {
  return static_cast<double>(train::available_memory());
}

double run_memory_bytes(const model::RunConfig& config, const kernels::KernelTable& kernels, int threads) {
  return static_cast<double>(train::plan_memory(config, kernels, threads).total());
}

}  // namespace loglog::sweep
