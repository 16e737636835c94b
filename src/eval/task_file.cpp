#include "eval/task_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/byte_order_mark.hpp"
#include "base/csv.hpp"
#include "base/error.hpp"
#include "data/json_lines.hpp"

namespace loglog::eval {
namespace {

using data::JsonLine;

constexpr std::string_view kKinds[] = {"multiple-choice", "exact-match"};

TaskText text_of(const JsonLine& line, const std::string& field) {
  TaskText result;
  const std::size_t tokens = line.list_size(field);
  if (tokens == 0) {
    result.text = line.text(field);
    if (result.text.empty()) line.reject(fmt::format("'{}' is empty", field));
    return result;
  }
  result.given_as_tokens = true;
  for (std::size_t i = 0; i < tokens; ++i) {
    const std::int64_t token = line.whole(fmt::format("{}/{}", field, i));
    if (token < 0 || token >= static_cast<std::int64_t>(data::kMaxVocabulary))
      line.reject(fmt::format("'{}/{}' is {}, no token", field, i, token));
    result.tokens.push_back(static_cast<Token>(token));
  }
  return result;
}

// The number of the right choice, by number or by text.
std::size_t right_choice(const JsonLine& line, const std::vector<TaskText>& choices) {
  if (line.has_text("answer")) {
    const std::string& answer = line.text("answer");
    const auto found = std::find_if(choices.begin(), choices.end(), [&](const TaskText& c) {
      return !c.given_as_tokens && c.text == answer;
    });
    if (found == choices.end()) line.reject(fmt::format("'answer' is '{}', none of the choices", answer));
    return static_cast<std::size_t>(found - choices.begin());
  }
  const std::int64_t answer = line.whole("answer");
  if (answer < 0 || answer >= static_cast<std::int64_t>(choices.size()))
    line.reject(fmt::format("'answer' is {}, must be 0 to {}", answer, choices.size() - 1));
  return static_cast<std::size_t>(answer);
}

// The first two choices that are the same: a model cannot choose between them.
struct Repeated {
  std::size_t first, second;
};
std::optional<Repeated> repeated_choice(const std::vector<TaskText>& choices) {
  for (std::size_t second = 1; second < choices.size(); ++second)
    for (std::size_t first = 0; first < second; ++first)
      if (choices[first] == choices[second]) return Repeated{first, second};
  return std::nullopt;
}

TaskItem item_of(const JsonLine& line, TaskKind kind) {
  TaskItem item{line.number(), text_of(line, "prompt"), {}};
  if (kind == TaskKind::exact_match) {
    item.answers.push_back(text_of(line, "target"));
    return item;
  }
  const std::size_t choices = line.list_size("choices");
  if (choices < 2) line.reject(fmt::format("'choices' must be a list of at least 2, not of {}", choices));
  for (std::size_t i = 0; i < choices; ++i)
    item.answers.push_back(text_of(line, fmt::format("choices/{}", i)));
  if (const auto same = repeated_choice(item.answers))
    line.reject(fmt::format("'choices/{}' is 'choices/{}' again", same->second, same->first));
  item.right = right_choice(line, item.answers);
  return item;
}

void read_json_lines(Task& task, std::string_view text, std::optional<TaskKind> kind) {
  data::for_each_json_line(text, task.path, [&](const data::JsonLine& line) {
    if (!kind)
      kind = line.has("target") && !line.has("choices") ? TaskKind::exact_match : TaskKind::multiple_choice;
    task.items.push_back(item_of(line, *kind));
  });
  task.kind = kind.value_or(TaskKind::multiple_choice);
}

// Where the columns of the Inverse Scaling Prize stand in a header.
struct Columns {
  std::size_t prompt, classes, answer;
};

Columns columns_of(const std::vector<CsvCell>& header, const Path& path) {
  const auto find = [&](std::string_view name) {
    const auto found =
        std::find_if(header.begin(), header.end(), [&](const CsvCell& c) { return c.text == name; });
    if (found == header.end())
      throw InputError(
          fmt::format("'{}:1': column '{}' is missing: a task in CSV has prompt, classes, answer_index",
                      path.native(), name));
    return static_cast<std::size_t>(found - header.begin());
  };
  return {find("prompt"), find("classes"), find("answer_index")};
}

TaskItem item_of(const std::vector<CsvCell>& cells, const Columns& at, int line, const Path& path) {
  const auto reject = [&](const CsvCell& cell, const std::string& what) {
    throw InputError(fmt::format("'{}:{}:{}': {}", path.native(), line, cell.column, what));
  };
  const CsvCell &prompt = cells[at.prompt], &classes = cells[at.classes], &answer = cells[at.answer];
  TaskItem item{static_cast<std::size_t>(line), {prompt.text, {}}, {}};
  if (prompt.text.empty()) reject(prompt, "'prompt' is empty");
  const auto choices = parse_text_list(classes.text);
  if (!choices || choices->size() < 2 || std::ranges::any_of(*choices, &std::string::empty))
    reject(classes,
           fmt::format("'classes' is {}, must be a list of at least 2 texts, such as [' Yes', ' No']",
                       classes.text.empty() ? "empty" : classes.text));
  for (const std::string& choice : *choices) item.answers.push_back({choice, {}});
  if (const auto same = repeated_choice(item.answers))
    reject(classes, fmt::format("choice {} of 'classes' is choice {} again", same->second, same->first));
  const char* const end = answer.text.data() + answer.text.size();
  const auto parsed = std::from_chars(answer.text.data(), end, item.right);
  if (parsed.ec != std::errc() || parsed.ptr != end || item.right >= choices->size())
    reject(answer, fmt::format("'answer_index' is '{}', must be 0 to {}", answer.text, choices->size() - 1));
  return item;
}

void read_csv(Task& task, std::string_view text, std::optional<TaskKind> kind) {
  if (kind == TaskKind::exact_match)
    throw UsageError(fmt::format("'{}' is CSV, which holds multiple choice: exact-match tasks are JSON lines",
                                 task.path.native()));
  task.kind = TaskKind::multiple_choice;
  const std::string name = task.path.native();
  CsvReader reader(text, name);
  const std::vector<CsvCell> header = reader.record();
  const Columns columns = columns_of(header, task.path);
  while (!reader.at_end()) {
    const std::vector<CsvCell> cells = reader.record();
    if (cells.size() == 1 && cells[0].text.empty()) continue;
    if (cells.size() != header.size())
      throw InputError(fmt::format("'{}:{}': {} cells where the header has {}", name, reader.line(),
                                   cells.size(), header.size()));
    task.items.push_back(item_of(cells, columns, reader.line(), task.path));
  }
}

}  // namespace

TaskKind task_kind(std::string_view name) {
  if (name == kKinds[0]) return TaskKind::multiple_choice;
  if (name == kKinds[1]) return TaskKind::exact_match;
  throw_unknown_name("kind of task", name, kKinds);
}

std::string_view task_kind_name(TaskKind kind) {
  return kKinds[static_cast<std::size_t>(kind)];
}

Task read_task(const Path& path, std::optional<TaskKind> kind) {
  return parse_task(read_input(path), path, kind);
}

Task parse_task(std::string_view text, const Path& path, std::optional<TaskKind> kind) {
  Task task{path, TaskKind::multiple_choice, {}};
  if (path.extension() == ".csv")
    read_csv(task, text, kind);
  else
    read_json_lines(task, without_byte_order_mark(text), kind);
  if (task.items.empty()) throw InputError(fmt::format("'{}' has no items", path.native()));
  return task;
}

void tokenise(Task& task, const data::TextCodec* codec, std::size_t vocab, std::size_t context,
              std::size_t shortest_prompt) {
  for (TaskItem& item : task.items) {
    const auto reject = [&](std::string_view what) {
      throw InputError(fmt::format("'{}:{}': {}", task.path.native(), item.line, what));
    };
    const auto encode = [&](TaskText& text) {
      if (!text.given_as_tokens) {
        if (codec == nullptr)
          throw UsageError(
              fmt::format("the model's tokens stand for no text that is known: give '{}' as lists of tokens",
                          task.path.native()));
        try {
          text.tokens = codec->encode(text.text);
        } catch (const InputError& error) {
          reject(error.what());
        }
      }
      for (const Token token : text.tokens)
        if (static_cast<std::size_t>(token) >= vocab)
          reject(fmt::format("token {} is outside the model's vocabulary of {}", token, vocab));
    };
    encode(item.prompt);
    if (item.prompt.tokens.size() < shortest_prompt)
      reject(fmt::format("the prompt has {} tokens, this model needs {}", item.prompt.tokens.size(),
                         shortest_prompt));
    for (TaskText& answer : item.answers) {
      encode(answer);
      const std::size_t length = item.prompt.tokens.size() + answer.tokens.size();
      if (length > context + 1)
        reject(fmt::format("prompt and answer have {} tokens, the model's context is {}", length, context));
    }
  }
}

namespace {

// The character behind a backslash; others are kept with it, as Python does.
std::optional<char> unescaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case '\\':
    case '\'':
    case '"':
      return c;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<std::vector<std::string>> parse_text_list(std::string_view text) {
  std::vector<std::string> list;
  std::size_t at = 0;
  const auto skip_space = [&] { at = std::min(text.find_first_not_of(" \t\r\n", at), text.size()); };
  const auto take = [&](char c) {
    skip_space();
    const bool there = at < text.size() && text[at] == c;
    at += there;
    return there;
  };
  if (!take('[')) return std::nullopt;
  while (!take(']')) {
    if (!list.empty() && !take(',')) return std::nullopt;
    if (!list.empty() && take(']')) break;  // Python allows a comma at the end
    const char quote = take('\'') ? '\'' : '"';
    if (quote == '"' && !take('"')) return std::nullopt;
    std::string item;
    for (; at < text.size() && text[at] != quote; ++at) {
      const auto escape = text[at] == '\\' && at + 1 < text.size() ? unescaped(text[at + 1]) : std::nullopt;
      item += escape.value_or(text[at]);
      at += escape.has_value();
    }
    if (at++ >= text.size()) return std::nullopt;
    list.push_back(std::move(item));
  }
  skip_space();
  if (at < text.size()) return std::nullopt;
  return list;
}

}  // namespace loglog::eval
