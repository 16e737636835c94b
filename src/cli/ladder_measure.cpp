#include "cli/ladder_measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "base/error.hpp"
#include "base/stats.hpp"
#include "cli/clock.hpp"
#include "kernels/peak.hpp"

namespace loglog::cli {
namespace {

using kernels::Index;
using kernels::KernelTable;
using kernels::ladder::Ladder;
using kernels::ladder::RungInfo;

constexpr std::size_t kMemoryBytes = 512 << 20;  // that no cache holds, of all threads together

// A rung that can be called, wherever it lives.
struct Runner {
  std::function<double(Index parts, int calls)> seconds;
  std::function<std::string(Index parts)> check;
  Index parts = 0;
  int calls = 1;
  std::vector<double> flops;  // per second
};

// Of one thread the time that the processor gave it, so that neighbours do not count; of several the time that passed.
double seconds_of(Ladder& ladder, int rung, bool one_thread, Index parts, int calls) {
  const clockid_t clock = one_thread ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  const double start = now(clock);
  for (int i = 0; i < calls; ++i) ladder.run(rung, parts);
  return now(clock) - start;
}

// The best of two, since others may use the machine; no clock tells less than a few nanoseconds.
double quick_seconds(const Runner& runner, Index parts) {
  return std::max(1e-8, std::min(runner.seconds(parts, 1), runner.seconds(parts, 1)));
}

// As many parts as fit into `wanted` seconds, all of them where fewer would not tell, and calls that fill at least a fifth.
void choose_amount(Runner& runner, bool divisible, Index all, double wanted) {
  runner.parts = divisible ? 1 : all;
  double taken = quick_seconds(runner, runner.parts);
  while (runner.parts < all && taken < wanted / 16) {
    runner.parts = std::min(all, 4 * runner.parts);
    taken = quick_seconds(runner, runner.parts);
  }
  const double affordable = static_cast<double>(runner.parts) * wanted / taken;
  if (divisible && affordable < static_cast<double>(all)) {
    runner.parts = std::clamp<Index>(static_cast<Index>(affordable), 1, all);
    return;
  }
  if (runner.parts < all) taken = quick_seconds(runner, all);
  runner.parts = all;
  runner.calls = std::max(1, static_cast<int>(wanted / 5 / taken));
}

// Error when the rung is wrong, on one part or on as many as will be timed.
void prepare(const MeasuredRung& rung, Runner& runner, Index all, double seconds) {
  const auto check = [&](Index parts) {
    if (const std::string wrong = runner.check(parts); !wrong.empty())
      throw Error(Exit::failed, fmt::format("rung {} is wrong: {}", rung.name, wrong));
  };
  check(1);
  choose_amount(runner, rung.info.parts, all, seconds);
  check(runner.parts);
}

std::vector<Ceilings> ceilings_of(const KernelTable& table, int threads) {
  std::vector<Ceilings> all;
  for (const int count : threads > 1 ? std::vector<int>{1, threads} : std::vector<int>{1}) {
    Ceilings best = {count, 0, 0};
    for (int i = 0; i < 9; ++i) {
      best.fma_flops = std::max(best.fma_flops, kernels::sample_fma_flops(table, count, 0.005));
    }
    for (int i = 0; i < 2; ++i) {
      best.read_bytes =
          std::max(best.read_bytes,
                   kernels::sample_read_bytes(table, count, kMemoryBytes / static_cast<std::size_t>(count)));
    }
    all.push_back(best);
  }
  return all;
}

void sample(const KernelTable& table, const Ladder& ladder, int rung, Runner& runner, Ceilings& ceiling) {
  ceiling.fma_flops = std::max(ceiling.fma_flops, kernels::sample_fma_flops(table, ceiling.threads, 0.005));
  const double taken = runner.seconds(runner.parts, runner.calls);
  runner.flops.push_back(ladder.work(rung, runner.parts).flops * runner.calls / taken);
}

void summarise(MeasuredRung& rung, const Runner& runner, const Ceilings& ceiling) {
  rung.parts = runner.parts;
  rung.flops = median(runner.flops);
  const auto [low, high] = std::ranges::minmax(runner.flops);
  rung.spread = (high - low) / 2 / rung.flops;
  rung.share = rung.flops / ceiling.fma_flops;
}

void compare_with_rung_before(std::vector<MeasuredRung>& rungs, int threads) {
  const MeasuredRung* before = nullptr;
  for (MeasuredRung& rung : rungs) {
    rung.expected = rung.info.gain == kernels::ladder::kAsThreads ? threads : rung.info.gain;
    if (!rung.missing.empty()) continue;
    if (before != nullptr && rung.expected != 0) rung.gain = rung.flops / before->flops;
    before = &rung;
  }
}

void add_rungs(Ladder& ladder, const KernelTable& table, int threads, LadderResult& result,
               std::vector<Runner>& runners) {
  for (const RungInfo& info : ladder.rungs()) {
    const int rung = static_cast<int>(result.rungs.size());
    result.rungs.push_back(
        {.info = info, .name = info.name, .missing = kernels::ladder::missing(info, table)});
    result.rungs.back().threads = info.threads ? threads : 1;
    const bool one_thread = result.rungs.back().threads == 1;
    runners.push_back({[&ladder, rung, one_thread](Index parts, int calls) {
                         return seconds_of(ladder, rung, one_thread, parts, calls);
                       },
                       [&ladder, rung](Index parts) {
                         return ladder.check(rung, parts, [](const auto&, const auto& run) { run(); });
                       }});
  }
}

void add_guest(Guest& guest, const std::string& name, int threads, LadderResult& result,
               std::vector<Runner>& runners) {
  result.rungs.push_back({.info = {.number = kernels::ladder::kGuest,
                                   .name = "",
                                   .idea = "your own",
                                   .gain = 0,
                                   .why = "",
                                   .parts = true},
                          .name = name});
  result.rungs.back().threads = threads;
  runners.push_back({[&guest](Index parts, int calls) { return guest.seconds(parts, calls); },
                     [&guest](Index parts) { return guest.check(parts); }});
}

}  // namespace

LadderResult measure(const KernelTable& table, const kernels::ladder::LadderKind& kind,
                     const std::vector<Index>& size, const MeasureOptions& options, Guest* guest,
                     const std::string& guest_name,
                     const std::function<void(const std::string& doing)>& progress) {
  const std::unique_ptr<Ladder> ladder = kind.make(table, options.threads, size);
  ladder->add_peers();
  LadderResult result{size, ladder->parts(), {}, {}};
  std::vector<Runner> runners;
  add_rungs(*ladder, table, options.threads, result, runners);
  if (guest != nullptr) add_guest(*guest, guest_name, options.threads, result, runners);
  const auto each = [&](auto&& body) {
    for (std::size_t i = 0; i < runners.size(); ++i) {
      if (result.rungs[i].missing.empty()) body(result.rungs[i], runners[i], static_cast<int>(i));
    }
  };
  for (std::size_t i = runners.size(); i-- > 0;) {  // a guest is the one that is most often wrong
    if (!result.rungs[i].missing.empty()) continue;
    progress(fmt::format("checking {} ({} left)", result.rungs[i].name, i));
    prepare(result.rungs[i], runners[i], result.parts, options.seconds);
    if (guest != nullptr && i + 1 == runners.size()) {
      guest->settle_threads(runners[i].parts, runners[i].calls);
      result.rungs[i].threads = guest->threads();
    }
  }
  result.ceilings = ceilings_of(table, options.threads);
  const auto ceiling_of = [&](const MeasuredRung& rung) -> Ceilings& {
    return rung.threads == 1 ? result.ceilings.front() : result.ceilings.back();
  };
  for (int i = 0; i < options.repetitions; ++i) {
    progress(fmt::format("timing, round {} of {}", i + 1, options.repetitions));
    each([&](MeasuredRung& rung, Runner& runner, int index) {
      const int of_work = std::min(index, static_cast<int>(ladder->rungs().size()) - 1);
      sample(table, *ladder, of_work, runner, ceiling_of(rung));
    });
  }
  each([&](MeasuredRung& rung, Runner& runner, int index) {
    summarise(rung, runner, ceiling_of(rung));
    const auto work =
        ladder->work(std::min(index, static_cast<int>(ladder->rungs().size()) - 1), result.parts);
    rung.intensity = work.flops / work.bytes;
    if (rung.info.number > 0) rung.remark = ladder->remark(index);
    if (rung.info.number == kernels::ladder::kGuest) rung.remark = guest->remark();
  });
  compare_with_rung_before(result.rungs, options.threads);
  return result;
}

}  // namespace loglog::cli
