#include "infer/stop_text.hpp"

#include <algorithm>
#include <utility>

namespace loglog::infer {

std::string StopText::add(std::string_view piece) {
  if (found_) return {};
  waiting_ += piece;
  if (stop_.empty()) return std::exchange(waiting_, {});
  std::size_t end = waiting_.find(stop_);
  found_ = end != std::string::npos;
  if (!found_) {
    std::size_t begun = std::min(waiting_.size(), stop_.size() - 1);  // characters of the stop text
    while (!waiting_.ends_with(std::string_view(stop_).substr(0, begun))) --begun;
    end = waiting_.size() - begun;
  }
  std::string certain = waiting_.substr(0, end);
  waiting_.erase(0, found_ ? std::string::npos : end);
  return certain;
}

std::string StopText::rest() {
  return std::exchange(waiting_, {});
}

}  // namespace loglog::infer
