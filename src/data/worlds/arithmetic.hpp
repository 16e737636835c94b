// addition, multiplication, modular, expressions: problems and their answers as text, one per line.
//
//   question=answer\n            or, with a scratchpad,           question=work|answer\n
//
//   addition        012+305=0317      numbers padded to the widest, so that answers stand at the same place of each line
//   multiplication  12*30=0360
//   modular         05+93=01          both sides below the modulus, which the text does not name
//   expressions     ((3+4)*2)=04      of digits, + - * and brackets, everything modulo a number
//
// Work, what a person would jot down: of an addition the sums of the columns with their carries from the right ("07,01,03"); of a
// multiplication the first number times each digit of the second from the right; of modular the value before it is reduced; of an
// expression the value of every bracket in the order in which they can be worked out.
//
// Difficulty: digits, or operations, uniform in a range; then every question of that size alike. Answer and work follow from the
// question, so with H(Q) the entropy of the questions and L the mean length of a line
//   entropy rate h = H(Q) / L
// The entropy of windows, which begin somewhere inside a line, has no usable form.
#pragma once
#include "data/worlds/world.hpp"

namespace loglog::data {

std::vector<WorldKind> arithmetic_kinds();

struct Problem {
  std::string question, work, answer;
  std::uint64_t difficulty;  // digits of the longer number, or operations
};

// A kind of problem. Draws of problem i use the indices from i * kDraws on.
class ProblemKind {
 public:
  static constexpr std::uint64_t kDraws = 64;
  virtual ~ProblemKind() = default;
  virtual Problem make(const Rng& rng, std::uint64_t first_index) const = 0;
  virtual double question_entropy() const = 0;
  virtual double mean_question_length() const = 0;
  virtual double mean_work_length() const = 0;
  virtual std::size_t answer_length() const = 0;
};

class ArithmeticWorld final : public World {
 public:
  struct Form {
    bool scratchpad = false;
    bool reversed = false;  // the answer's last digit first
  };
  ArithmeticWorld(std::unique_ptr<ProblemKind> kind, Form form) : kind_(std::move(kind)), form_(form) {}

  std::uint64_t vocab_size() const override;
  double entropy_rate() const override;
  std::optional<double> block_entropy(std::uint64_t) const override { return std::nullopt; }
  bool knows_windows() const override { return false; }
  void log_probs(std::span<const Token> window, std::span<double> out) const override;
  nlohmann::json header() const override;  // tokens are characters; a line is a document
  void generate(const Rng& rng, std::uint64_t count, const std::function<void(Token)>& emit) const override;
  bool has_truth() const override { return true; }
  // Of each line: {"begin": token, "question", "answer", "answer_begin", "answer_end": tokens, "difficulty"}.
  void tell_truth(const Rng& rng, std::uint64_t count,
                  const std::function<void(const nlohmann::json&)>& tell) const override;

 private:
  struct Line;
  template <class Visit>
  void for_each_line(const Rng& rng, std::uint64_t count, Visit&& visit) const;

  std::unique_ptr<ProblemKind> kind_;
  Form form_;
};

}  // namespace loglog::data
