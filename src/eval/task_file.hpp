// Questions with known answers, from files.
//
//   JSON lines   {"prompt": TEXT, "choices": [TEXT, ...], "answer": NUMBER from 0, or the TEXT of a choice}     multiple choice
//                {"prompt": TEXT, "target": TEXT}                                                             exact match
//                a TEXT may be a list of token numbers everywhere, for models whose tokens stand for no text
//   CSV          columns prompt, classes (a list as Python or JSON writes it), answer_index                  multiple choice; the
//                format of the Inverse Scaling Prize (McKenzie et al. 2023)
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/text_codec.hpp"

namespace loglog::eval {

using data::Token;

enum class TaskKind { multiple_choice, exact_match };
// "multiple-choice", "exact-match"; UsageError for others.
TaskKind task_kind(std::string_view name);
std::string_view task_kind_name(TaskKind kind);

// A text, or the tokens that stand in its place.
struct TaskText {
  std::string text;
  std::vector<Token> tokens;  // set by tokenise(), or by the file, then there is no text
  bool given_as_tokens = false;
  friend bool operator==(const TaskText&, const TaskText&) = default;
};

struct TaskItem {
  std::size_t line;  // in the file, from 1
  TaskText prompt;
  std::vector<TaskText> answers;  // the choices, or the target alone
  std::size_t right = 0;          // of the choices
};

struct Task {
  Path path;
  TaskKind kind;
  std::vector<TaskItem> items;
};

// All lines are of one kind: the one that is asked for, else that of the first. InputError with file, line and field for what is
// missing or no TEXT, for an empty one, a single choice, one that is there twice, an answer that is none of them, and a file
// without items.
Task read_task(const Path& path, std::optional<TaskKind> kind = {});
Task parse_task(std::string_view text, const Path& path,
                std::optional<TaskKind> kind = {});  // the same of its text

// Sets the tokens of every text: prompt and answers are encoded apart. InputError with file and line when the vocabulary lacks a
// character or a token, an item is longer than `context`, or its prompt shorter than `shortest_prompt`; UsageError when there is text and no codec.
void tokenise(Task& task, const data::TextCodec* codec, std::size_t vocab, std::size_t context,
              std::size_t shortest_prompt);

// A list of texts as Python or JSON writes it: [" Yes", ' No'].
std::optional<std::vector<std::string>> parse_text_list(std::string_view text);

}  // namespace loglog::eval
