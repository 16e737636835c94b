// Named ranges of tokens of a file, whose losses are of interest: answers, facts, repeats.
//
// JSON lines, {"begin": 120, "end": 124, "name": "answer"}: the tokens [begin, end) of the token file. Names are shared; spans of
// one name may not overlap.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/file.hpp"

namespace loglog::eval {

struct Span {
  std::uint64_t begin, end;
  std::size_t name;  // index into Spans::names()
};

class Spans {
 public:
  Spans() = default;
  // InputError with file and line for one that is no JSON, lacks a field or a name, is empty or not inside a file of
  // `tokens`, or overlaps an earlier one of its name; and for a file without any.
  static Spans read(const Path& path, std::uint64_t tokens);

  const std::vector<std::string>& names() const { return names_; }
  std::size_t count() const { return spans_.size(); }
  // visit(span, its number) for those that have a token in [begin, end), by where they begin.
  void for_each_in(std::uint64_t begin, std::uint64_t end,
                   const std::function<void(const Span&, std::size_t)>& visit) const;

 private:
  std::vector<std::string> names_;
  std::vector<Span> spans_;          // by begin
  std::vector<std::uint64_t> ends_;  // the largest end of all spans up to each one
};

}  // namespace loglog::eval
