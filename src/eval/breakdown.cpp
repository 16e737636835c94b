#include "eval/breakdown.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.hpp"

namespace loglog::eval {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// The end of the bucket that begins here: buckets double, as what is left to gain halves.
std::size_t bucket_end(std::size_t begin, std::size_t context) {
  return std::min(context, std::max<std::size_t>(begin + 1, 2 * begin));
}

// Adds [first, end) of a window to a part.
void add_range(ClusteredMean& part, std::uint64_t cluster, const WindowLosses& window, std::size_t first,
               std::size_t end) {
  double sum = 0;
  std::uint64_t count = 0;
  for (std::size_t i = first; i < end; ++i) {
    sum += double(window.losses[i]);
    count += window.targets[i] != data::kIgnoredTarget;
  }
  if (count > 0) part.add(cluster, sum, count);
}

}  // namespace

Breakdown::Breakdown(std::size_t context, const std::vector<std::string>& sources, const Spans& spans)
    : span_list_(spans), sum_at_(context), count_at_(context) {
  for (std::size_t begin = 0; begin < context; begin = bucket_end(begin, context)) {
    const std::size_t last = bucket_end(begin, context) - 1;
    positions_.push_back({last == begin ? fmt::format("{}", begin) : fmt::format("{}-{}", begin, last), {}});
  }
  for (const std::string& name : sources) sources_.push_back({name, {}});
  for (const std::string& name : spans.names()) span_parts_.push_back({name, {}});
}

void Breakdown::add(const WindowLosses& window) {
  const std::size_t context = sum_at_.size();
  LOGLOG_CHECK(window.losses.size() == context && window.targets.size() == context,
               "{} losses and {} targets of a window of {}", window.losses.size(), window.targets.size(),
               context);
  add_range(all_, window.cluster, window, 0, context);
  add_range(sources_[window.source].loss, window.cluster, window, 0, context);
  std::size_t begin = 0;
  for (Part& part : positions_) {
    const std::size_t end = bucket_end(begin, context);
    add_range(part.loss, window.cluster, window, begin, end);
    begin = end;
  }
  for (std::size_t i = 0; i < context; ++i) {
    sum_at_[i] += double(window.losses[i]);
    count_at_[i] += window.targets[i] != data::kIgnoredTarget;
  }
  // Loss i is of the token begin + 1 + i.
  const std::uint64_t first = window.begin + 1;
  span_list_.for_each_in(first, first + context, [&](const Span& span, std::size_t number) {
    const std::uint64_t from = std::max(span.begin, first), to = std::min(span.end, first + context);
    add_range(span_parts_[span.name].loss, number, window, static_cast<std::size_t>(from - first),
              static_cast<std::size_t>(to - first));
  });
}

double Breakdown::loss_at(std::size_t position) const {
  return count_at_[position] == 0 ? kNaN : sum_at_[position] / static_cast<double>(count_at_[position]);
}

}  // namespace loglog::eval
