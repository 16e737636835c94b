#include "eval/spans.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "base/byte_order_mark.hpp"
#include "base/error.hpp"
#include "data/json_lines.hpp"

namespace loglog::eval {
namespace {

struct Placed {
  Span span;
  std::size_t line;
};

void refuse_overlaps(std::vector<Placed> all, const std::vector<std::string>& names, const Path& path) {
  std::stable_sort(all.begin(), all.end(), [](const Placed& a, const Placed& b) {
    return std::pair(a.span.name, a.span.begin) < std::pair(b.span.name, b.span.begin);
  });
  for (std::size_t i = 1; i < all.size(); ++i) {
    const Placed &a = all[i - 1], &b = all[i];
    if (a.span.name != b.span.name || a.span.end <= b.span.begin) continue;
    throw InputError(fmt::format(
        "'{}', line {}: span [{}, {}) of '{}' overlaps [{}, {}) of line {}: those of one name must be apart",
        path.native(), b.line, b.span.begin, b.span.end, names[b.span.name], a.span.begin, a.span.end,
        a.line));
  }
}

}  // namespace

Spans Spans::read(const Path& path, std::uint64_t tokens) {
  Spans spans;
  std::vector<Placed> all;
  std::unordered_map<std::string, std::size_t> numbers;
  const std::string text = read_input(path);
  data::for_each_json_line(without_byte_order_mark(text), path, [&](const data::JsonLine& line) {
    const std::int64_t begin = line.whole("begin"), end = line.whole("end");
    if (begin < 0 || begin >= end || static_cast<std::uint64_t>(end) > tokens) {
      line.reject(fmt::format("span [{}, {}) must hold a token and lie in [0, {}), the tokens of the file",
                              begin, end, tokens));
    }
    if (line.text("name").empty()) line.reject("'name' is empty");
    const auto [name, is_new] = numbers.try_emplace(line.text("name"), spans.names_.size());
    if (is_new) spans.names_.push_back(name->first);
    all.push_back(
        {{static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end), name->second}, line.number()});
  });
  if (all.empty()) throw InputError(fmt::format("'{}' has no spans", path.native()));
  refuse_overlaps(all, spans.names_, path);
  for (const Placed& placed : all) spans.spans_.push_back(placed.span);
  std::stable_sort(spans.spans_.begin(), spans.spans_.end(),
                   [](const Span& a, const Span& b) { return a.begin < b.begin; });
  std::uint64_t end = 0;
  for (const Span& span : spans.spans_) spans.ends_.push_back(end = std::max(end, span.end));
  return spans;
}

void Spans::for_each_in(std::uint64_t begin, std::uint64_t end,
                        const std::function<void(const Span&, std::size_t)>& visit) const {
  // Before the first whose running end is behind `begin`, none reaches it.
  const auto first = std::upper_bound(ends_.begin(), ends_.end(), begin) - ends_.begin();
  for (auto i = static_cast<std::size_t>(first); i < spans_.size() && spans_[i].begin < end; ++i)
    if (spans_[i].end > begin) visit(spans_[i], i);
}

}  // namespace loglog::eval
