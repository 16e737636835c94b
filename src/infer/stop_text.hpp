// Ends a text in front of one that it must not contain, while it comes piece by piece.
#pragma once
#include <string>
#include <string_view>

namespace loglog::infer {

class StopText {
 public:
  explicit StopText(std::string stop) : stop_(std::move(stop)) {}  // empty: none

  // What is now certain to belong to the text: not what may be the beginning of the stop text.
  std::string add(std::string_view piece);
  bool found() const { return found_; }  // then nothing follows
  std::string rest();                    // what was held back, when no more comes

 private:
  std::string stop_;
  std::string waiting_;
  bool found_ = false;
};

}  // namespace loglog::infer
