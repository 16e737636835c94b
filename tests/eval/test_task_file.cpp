#include "eval/task_file.hpp"

#include <fstream>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::eval;
using Catch::Contains;

namespace {

struct Workshop {
  TemporaryFolder folder;
  Task read(const std::string& text, const std::string& name = "t.jsonl",
            std::optional<TaskKind> kind = {}) const {
    std::ofstream(folder.path() / name, std::ios::binary) << text;
    return read_task(folder.path() / name, kind);
  }
};

std::vector<std::string> texts(const TaskItem& item) {
  std::vector<std::string> result;
  for (const TaskText& answer : item.answers) result.push_back(answer.text);
  return result;
}

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("tasks in JSON lines") {
  const Workshop w;
  const Task choice = w.read(R"({"prompt": "2 + 2 =", "choices": [" 4", " 5"], "answer": 0}

{"prompt": "sky", "choices": ["red", "blue", "x"], "answer": "blue", "source": {"page": 3}}
)");
  CHECK(choice.kind == TaskKind::multiple_choice);
  REQUIRE(choice.items.size() == 2);
  CHECK(choice.items[0].prompt.text == "2 + 2 =");
  CHECK(texts(choice.items[0]) == Strings{" 4", " 5"});
  CHECK(choice.items[0].right == 0);
  CHECK(choice.items[1].line == 3);
  CHECK(choice.items[1].right == 1);

  const Task match = w.read("{\"prompt\": \"a\\nb\", \"target\": \"c\"}\r\n");
  CHECK(match.kind == TaskKind::exact_match);
  CHECK(match.items[0].prompt.text == "a\nb");
  CHECK(texts(match.items[0]) == Strings{"c"});

  CHECK(w.read("\xEF\xBB\xBF{\"prompt\": \"a\", \"target\": \"c\"}\n").items[0].prompt.text == "a");

  const Task tokens = w.read(R"({"prompt": [3, 1], "choices": [[2], [4, 5]], "answer": 1})");
  CHECK(tokens.items[0].prompt.tokens == std::vector<Token>{3, 1});
  CHECK(tokens.items[0].answers[1].tokens == std::vector<Token>{4, 5});
}

TEST_CASE("tasks in CSV are those of the Inverse Scaling Prize") {
  const Workshop w;
  const Task task = w.read(
      "\xEF\xBB\xBF,prompt,classes,answer_index,other\r\n"
      "0,\"Q: \"\"really\"\", or\nnot?\",\"[' Yes', \"\" No, it's not\"\"]\",1,x\r\n"
      "1,plain,\"[\"\" a\"\", \"\" b\"\"]\",0,\r\n",
      "t.csv");
  CHECK(task.kind == TaskKind::multiple_choice);
  REQUIRE(task.items.size() == 2);
  CHECK(task.items[0].prompt.text == "Q: \"really\", or\nnot?");
  CHECK(texts(task.items[0]) == Strings{" Yes", " No, it's not"});
  CHECK(task.items[0].right == 1);
  CHECK(task.items[0].line == 2);
  CHECK(task.items[1].line == 4);  // the first one has two lines
}

TEST_CASE("lists of texts as Python and JSON write them") {
  CHECK(parse_text_list(R"([' a', " b"])") == Strings{" a", " b"});
  CHECK(parse_text_list(R"( [ "it's" , 'say "x"' ,] )") == Strings{"it's", "say \"x\""});
  CHECK(parse_text_list(R"(['don\'t', "tab\t\n\\ \q"])") == Strings{"don't", "tab\t\n\\ \\q"});
  CHECK(parse_text_list("[]") == Strings{});
  for (const char* bad :
       {"", "[", "a", "['a'", "['a' 'b']", "['a]", "[a]", "['a'] x", "[,]", "['a',,]", "['a\\"})
    CHECK_FALSE(parse_text_list(bad).has_value());
}

TEST_CASE("bad tasks are refused with line and field") {
  const Workshop w;
  const std::pair<std::string, std::string> lines[] = {
      {R"({"prompt": "p", "choices": ["a"], "answer": 0})",
       "'choices' must be a list of at least 2, not of 1"},
      {R"({"prompt": "p", "choices": ["a", "b"], "answer": 2})", "'answer' is 2, must be 0 to 1"},
      {R"({"prompt": "p", "choices": ["a", "b"], "answer": -1})", "'answer' is -1"},
      {R"({"prompt": "p", "choices": ["a", "b"], "answer": "c"})", "'answer' is 'c', none of the choices"},
      {R"({"prompt": "p", "choices": ["a", ""], "answer": 0})", "'choices/1' is empty"},
      {R"({"prompt": "p", "choices": ["a", "b", "a"], "answer": 0})", "'choices/2' is 'choices/0' again"},
      {R"({"prompt": "p", "choices": [[1, 2], "b", [1, 2]], "answer": 1})",
       "'choices/2' is 'choices/0' again"},
      {R"({"prompt": "p", "choices": ["a", 3], "answer": 0})", "'choices/1' is not a string"},
      {R"({"prompt": "", "choices": ["a", "b"], "answer": 0})", "'prompt' is empty"},
      {R"({"choices": ["a", "b"], "answer": 0})", "'prompt' is not there"},
      {R"({"prompt": "p", "choices": ["a", "b"]})", "'answer' is not there"},
      {R"({"prompt": "p", "target": "t"})", "'choices' must be a list"},  // the first line is of another kind
      {R"({"prompt": [1, -2], "choices": ["a", "b"], "answer": 0})", "'prompt/1' is -2"},
      {R"({"prompt": [1, "x"], "choices": ["a", "b"], "answer": 0})", "'prompt/1' is not a whole number"},
      {R"({"prompt": null, "choices": ["a", "b"], "answer": 0})", "'prompt' is not there"},
      {"{\"prompt\": \"\xFF\"}", "no valid JSON"},
      {"5", "not a JSON object"},
  };
  const std::string good = R"({"prompt": "p", "choices": ["a", "b"], "answer": 0})"
                           "\n";
  for (const auto& [line, message] : lines) {
    INFO(line);
    CHECK_THROWS_WITH(w.read(good + line), Contains("t.jsonl:2'") && Contains(message));
    CHECK_THROWS_AS(w.read(good + line), InputError);
  }
  const std::pair<std::string, std::string> tables[] = {
      {"prompt,classes\na,b\n", "'answer_index' is missing"},
      {"prompt,classes,answer_index\np,\"['a', 'b']\"\n", "t.csv:2': 2 cells where the header has 3"},
      {"prompt,classes,answer_index\np,\"['a', 'b']\",2\n",
       "t.csv:2:16': 'answer_index' is '2', must be 0 to 1"},
      {"prompt,classes,answer_index\np,\"['a', 'b']\",x\n", "'answer_index' is 'x'"},
      {"prompt,classes,answer_index\np,['a'],0\n", "'classes' is ['a'], must be a list of at least 2"},
      {"prompt,classes,answer_index\np,,0\n", "'classes' is empty"},
      {"prompt,classes,answer_index\np,\"['a', 'b', 'b']\",0\n", "choice 2 of 'classes' is choice 1 again"},
      {"prompt,classes,answer_index\n,\"['a', 'b']\",0\n", "'prompt' is empty"},
      {"prompt,classes,answer_index\n\"p,['a'],0\n", "t.csv:2:1: a quoted cell"},
      {"prompt,classes,answer_index\n", "has no items"},
  };
  for (const auto& [text, message] : tables) {
    INFO(text);
    CHECK_THROWS_WITH(w.read(text, "t.csv"), Contains(message));
    CHECK_THROWS_AS(w.read(text, "t.csv"), InputError);
  }
  CHECK_THROWS_WITH(w.read("\n\n"), Contains("has no items"));
  // What the first line is no clear case of is called by the kind that it looks like.
  for (const char* line : {R"({"prompt": "p", "choices": []})", R"({"prompt": "p"})"})
    CHECK_THROWS_WITH(w.read(line),
                      Contains("t.jsonl:1'") && Contains("'choices' must be a list of at least 2"));
  CHECK_THROWS_WITH(w.read(R"({"prompt": "p", "target": ""})"), Contains("'target' is empty"));
  CHECK_THROWS_AS(read_task(w.folder.path() / "absent"), InputError);
  CHECK_THROWS_AS(w.read("prompt\n", "t.csv", TaskKind::exact_match), UsageError);
  CHECK_THROWS_WITH(task_kind("multiple-choise"), Contains("did you mean 'multiple-choice'"));
  CHECK(task_kind_name(task_kind("exact-match")) == "exact-match");
}

TEST_CASE("damaged tasks give a message and nothing else") {
  const std::string files[] = {
      R"({"prompt": "2 + 2 =", "choices": [" 4", " 5"], "answer": 0, "n": [[1, 2.5], {"a": true}]})",
      "prompt,classes,answer_index\n\"a \"\"b\"\"\",\"[' Yes', \"\" No\"\"]\",1\n"};
  const char* names[] = {"t.jsonl", "t.csv"};
  const Rng rng(8, 1);
  std::uint64_t draw = 0;
  int refused = 0, count = 0;
  const auto attempt = [&](std::size_t k, const std::string& text) {
    ++count;
    try {
      parse_task(text, names[k]);
    } catch (const InputError& error) {
      if (std::string(error.what()).find(names[k]) == std::string::npos) FAIL(error.what());
      ++refused;
    }
  };
  for (std::size_t k = 0; k < 2; ++k) {
    for (std::size_t n = 0; n < files[k].size(); ++n) attempt(k, files[k].substr(0, n));
    for (int i = 0; i < 10000; ++i) {
      std::string text = files[k];
      for (std::uint64_t edits = 1 + static_cast<std::uint64_t>(i) % 3; edits > 0; --edits)
        text[rng.below(2 * draw, text.size())] = static_cast<char>(rng.below(2 * draw + 1, 256)), ++draw;
      attempt(k, text);
    }
  }
  CHECK(refused > count / 3);
}

TEST_CASE("texts become tokens, and what does not fit is refused with its line") {
  const Workshop w;
  Task task =
      w.read("{\"prompt\": \"ab\", \"target\": \"c\"}\n{\"prompt\": \"b\", \"target\": \"a\\u00e9\"}\n");
  const auto bytes = data::make_bytes_codec();
  tokenise(task, bytes.get(), 256, 4, 1);
  CHECK(task.items[0].prompt.tokens == std::vector<Token>{'a', 'b'});
  CHECK(task.items[1].answers[0].tokens == std::vector<Token>{'a', 0xC3, 0xA9});
  CHECK_THROWS_WITH(tokenise(task, bytes.get(), 256, 2, 1),
                    Contains("t.jsonl:2'") && Contains("have 4 tokens, the model's context is 2"));
  CHECK_THROWS_WITH(tokenise(task, bytes.get(), 200, 3, 2),
                    Contains("t.jsonl:2'") && Contains("the prompt has 1 tokens, this model needs 2"));
  CHECK_THROWS_WITH(tokenise(task, bytes.get(), 128, 4, 1),
                    Contains("t.jsonl:2'") && Contains("token 195 is outside the model's vocabulary of 128"));
  CHECK_THROWS_AS(tokenise(task, nullptr, 256, 4, 1), UsageError);
  const auto chars = data::make_chars_codec({'a', 'b', 'c'});
  CHECK_THROWS_WITH(tokenise(task, chars.get(), 3, 4, 1), Contains("t.jsonl:2'") && Contains("U+00E9"));
  Task tokens = w.read(R"({"prompt": [0, 2], "target": [1]})");
  tokenise(tokens, nullptr, 3, 3, 1);
  CHECK(tokens.items[0].answers[0].tokens == std::vector<Token>{1});
}
