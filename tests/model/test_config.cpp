#include "model/config.hpp"

#include <set>

#include "base/error.hpp"
#include "model/config_value.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::model;
using Catch::Contains;

TEST_CASE("TOML sets the keys it names and leaves the others at their defaults") {
  const RunConfig c = parse_config(
      "[model]\nlayers = 2\nbias = false\n[data]\npath = 'a b.tok'\n[train]\nlr = 1\ntokens = 1e6\nseed = "
      "7\n",
      "t");
  RunConfig expected;
  expected.model.layers = 2;
  expected.model.bias = false;
  expected.data.path = "a b.tok";
  expected.train.lr = 1;
  expected.train.tokens = 1000000;
  expected.train.seed = 7;
  REQUIRE(c == expected);
}

TEST_CASE("mistakes name the place, the key and what would be right") {
  REQUIRE_THROWS_WITH(
      parse_config("[model]\nlayres = 2\n", "c.toml"),
      Contains("c.toml:2") && Contains("model.layres") && Contains("did you mean 'model.layers'"));
  REQUIRE_THROWS_WITH(parse_config("[model]\nwidth = 'wide'\n", "c"),
                      Contains("model.width must be a whole number, not 'wide'"));
  REQUIRE_THROWS_WITH(parse_config("[model]\nwidth = 1.5\n", "c"), Contains("whole number"));
  REQUIRE_THROWS_WITH(parse_config("[model]\nbias = 1\n", "c"), Contains("true or false"));
  REQUIRE_THROWS_WITH(parse_config("[model]\nheads = 0\n", "c"), Contains("must be from 1 to 1024"));
  REQUIRE_THROWS_WITH(parse_config("[train]\nseed = -1\n", "c"), Contains("train.seed is -1"));
  REQUIRE_THROWS_WITH(parse_config("[train]\nlr = nan\n", "c"), Contains("train.lr is nan"));
  REQUIRE_THROWS_WITH(parse_config("[train]\nschedule = 'cosin'\n", "c"), Contains("cosine, wsd, constant"));
  REQUIRE_THROWS_WITH(parse_config("[train\n", "c"), Contains("c:1:"));
  REQUIRE_THROWS_WITH(parse_config("[model]\nwidth = [1]\n", "c"), Contains("c:2"));
  REQUIRE_THROWS_AS(parse_config("model = 3\n", "c"), UsageError);
  REQUIRE_THROWS_AS(read_config("/nonexistent.toml"), InputError);
}

TEST_CASE("--set reads the right side as the key's type") {
  RunConfig c;
  apply_set(c, "train.lr=3e-2");
  apply_set(c, "data.path=12");  // a string key takes anything
  apply_set(c, "model.tied=false");
  REQUIRE(c.train.lr == 3e-2);
  REQUIRE(c.data.path == "12");
  REQUIRE_FALSE(c.model.tied);
  REQUIRE_THROWS_WITH(apply_set(c, "train.steps"), Contains("key=value"));
  REQUIRE_THROWS_WITH(apply_set(c, "train.stpes=3"), Contains("train.steps"));
  REQUIRE_THROWS_AS(apply_set(c, "train.steps=many"), UsageError);
  REQUIRE_THROWS_AS(apply_set(c, "train.steps="), UsageError);
}

TEST_CASE("every key survives JSON and TOML") {
  RunConfig c;
  int number = 3;  // each key gets a value of its own that lies in its range
  visit(c, [&](const ConfigKey& key, auto& member) {
    using Member = std::decay_t<decltype(member)>;
    ++number;
    if constexpr (std::is_same_v<Member, std::string>)
      member = key.choices.empty() ? "a \"b\"\\c" : key.choices.back();
    else if constexpr (std::is_same_v<Member, bool>)
      member = !member;
    else if constexpr (std::is_floating_point_v<Member>)
      member = static_cast<Member>(key.high < 2 ? 0.1 / number : number / 7.0);
    else
      member = static_cast<Member>(number);
  });
  REQUIRE(from_json(to_json(c), "j") == c);
  REQUIRE(parse_config(to_toml(c), "t") == c);
  REQUIRE(to_toml(c).find("0.1000") == std::string::npos);
  REQUIRE_THROWS_AS(from_json("{\"model\": {\"layers\": ", "j"), InputError);
  REQUIRE_THROWS_AS(from_json("{\"model\": {\"layrs\": 3}}", "j"), InputError);
  REQUIRE_THROWS_AS(from_json("[1]", "j"), InputError);
  REQUIRE_THROWS_AS(from_json("3", "j"), InputError);
}

TEST_CASE("resolve fills in what is automatic and refuses what does not fit together") {
  RunConfig c;
  c.train.tokens = 12 * 64 * 10 + 1;
  resolve(c, 65);
  REQUIRE(c.model.vocab == 65);
  REQUIRE(c.train.steps == 11);
  REQUIRE(c.train.micro_batch == 12);
  REQUIRE(c.model.init_sd == Approx(1.0 / std::sqrt(128.0)));
  const RunConfig once = c;
  resolve(c, 65);
  REQUIRE(c == once);
  REQUIRE_THROWS_WITH(resolve(c, 66), Contains("model.vocab is 65"));

  RunConfig large;
  large.model = {.layers = 12, .width = 768, .heads = 12, .context = 1024, .vocab = 50257};
  large.train.batch = 6;
  resolve(large, 50257);
  REQUIRE(large.train.micro_batch < 6);
  REQUIRE(6 % large.train.micro_batch == 0);

  RunConfig odd;
  odd.model.width = 130;
  REQUIRE_THROWS_WITH(resolve(odd, 65), Contains("multiple of model.heads"));
  RunConfig split;
  split.train.micro_batch = 5;
  REQUIRE_THROWS_WITH(resolve(split, 65), Contains("multiple of train.micro_batch"));
  RunConfig crossed;
  crossed.train.min_lr = 1;
  REQUIRE_THROWS_WITH(resolve(crossed, 65), Contains("above train.lr"));
}

TEST_CASE("the identity follows exactly the keys that change the result, and the data") {
  const RunConfig c;
  const std::string base = identity(c, "data");
  REQUIRE(base.size() == 32);
  REQUIRE(identity(c, "other data") != base);
  std::set<std::string> seen = {base};
  std::size_t expected = 1;
  visit(c, [&](const ConfigKey& key, const auto&) {
    RunConfig changed;
    visit(changed, [&](const ConfigKey& k, auto& member) {
      using Member = std::decay_t<decltype(member)>;
      if (k.name != key.name) return;
      if constexpr (std::is_same_v<Member, std::string>)
        member += "x";
      else if constexpr (std::is_same_v<Member, bool>)
        member = !member;
      else
        member += 1;
    });
    INFO(key.name);
    REQUIRE((identity(changed, "data") != base) == key.changes_result);
    seen.insert(identity(changed, "data"));
    expected += key.changes_result ? 1 : 0;
  });
  REQUIRE(seen.size() == expected);
}

TEST_CASE("the list of keys is sound") {
  const RunConfig defaults;
  std::set<std::string_view> names;
  visit(defaults, [&](const ConfigKey& key, const auto&) {
    INFO(key.name);
    REQUIRE(names.insert(key.name).second);
    REQUIRE_FALSE(key.help.empty());
  });
  REQUIRE(parse_config(to_toml(defaults), "defaults") == defaults);  // defaults lie in their own ranges
}

TEST_CASE("numbers outside of a key's range are refused before they become members") {
  for (const char* text : {"seed = -1.0", "seed = 1e19", "threads = 1e10", "threads = -1e300", "batch = inf"})
    REQUIRE_THROWS_WITH(parse_config(std::string("[train]\n") + text, "c"), Contains("must be from"));
  REQUIRE_THROWS_WITH(parse_config("[train]\nbatch = 1.5", "c"), Contains("whole number"));
}

TEST_CASE("products of keys that no 64-bit count holds are refused") {
  RunConfig c;
  c.train.batch = 1'000'000'000'000'000;
  c.model.context = 1 << 20;
  REQUIRE_THROWS_WITH(resolve(c, 8), Contains("train.batch x model.context"));
  c.model.context = 64;
  REQUIRE_THROWS_WITH(resolve(c, 8), Contains("train.steps x train.batch"));
}

TEST_CASE("neither a size rule nor a ramp multiplies what no count holds") {
  RunConfig rule;
  rule.train.size_rule = "bytes";
  rule.train.steps = rule.train.batch = 1'000'000'000'000'000;
  REQUIRE_THROWS_WITH(resolve(rule, 8), Contains("train.steps x train.batch"));
  RunConfig ramp;
  ramp.train.first_batch = 1;
  ramp.train.batch = 10'000'000;  // in passes of one sequence
  REQUIRE_THROWS_WITH(resolve(ramp, 8), Contains("rises"));
  ramp.train.batch = 1'000'000;
  ramp.train.tokens = 1'000'000'000'000'000;
  REQUIRE_THROWS_WITH(resolve(ramp, 8), Contains("train.first_batch"));
  ramp.train.tokens = 100'000'000'000;
  REQUIRE_NOTHROW(resolve(ramp, 8));
}

TEST_CASE("dropout is refused where a step has more elements than it can number") {
  RunConfig c;
  c.model.width = 4096;
  c.model.context = 1024;
  c.train.batch = 1024;
  c.train.dropout = 0.1;
  REQUIRE_NOTHROW(resolve(c, 8));
  c.train.batch = 1025;
  c.train.micro_batch = 0;
  REQUIRE_THROWS_WITH(resolve(c, 8), Contains("train.dropout") && Contains("2^32"));
  c.train.dropout = 0;
  REQUIRE_NOTHROW(resolve(c, 8));
}

TEST_CASE("masks that leave nothing to predict are refused") {
  RunConfig c;
  c.model.mask = "full";
  REQUIRE_THROWS_WITH(resolve(c, 8), Contains("model.mask is full"));
  c.model.mask = "prefix";
  c.model.mask_span = 64;
  REQUIRE_THROWS_WITH(resolve(c, 8), Contains("model.mask_span (64)"));
  c.model.mask_span = 63;
  REQUIRE_NOTHROW(resolve(c, 8));
  REQUIRE(c.model.mutual_prefix() == 63);
}

TEST_CASE("the first difference of two configurations is told with both values") {
  RunConfig here, there;
  const auto every = [](const ConfigKey&) { return true; };
  REQUIRE(first_difference(here, there, every).empty());
  here.train.lr = 0.5;
  here.train.seed = 3;
  REQUIRE(first_difference(here, there, every) == "train.lr (there 0.001, here 0.5)");
  REQUIRE(first_difference(here, there, [](const ConfigKey& key) { return key.name == "train.seed"; }) ==
          "train.seed (there 1, here 3)");
}

TEST_CASE("a schedule that its run cannot hold is refused, all that fits is not") {
  RunConfig c;
  c.train.steps = 20;
  const auto with = [&](std::string schedule, double warmup, double decay_share) {
    RunConfig run = c;
    run.train.schedule = std::move(schedule);
    run.train.warmup = warmup;
    run.train.decay_share = decay_share;
    return run;
  };
  for (RunConfig good : {with("cosine", 20, 0.2), with("constant", 0.99, 0.2), with("wsd", 16, 0.2),
                         with("wsd", 0.5, 0.5), with("wsd", 12, 1), with("cosine", 12, 0.9)})
    REQUIRE_NOTHROW(resolve(good, 65));
  for (RunConfig bad : {with("cosine", 5000, 0.2), with("constant", 21, 0.2), with("wsd", 21, 1),
                        with("wsd", 17, 0.2), with("wsd", 0.6, 0.5)}) {
    REQUIRE_THROWS_AS(resolve(bad, 65), UsageError);
    REQUIRE_THROWS_WITH(resolve(bad, 65), Contains("train.warmup"));
  }
  c.train.steps = 0;  // the untrained model
  RunConfig untrained = with("cosine", 100, 0.2);
  REQUIRE_NOTHROW(resolve(untrained, 65));
}

TEST_CASE("a data path that JSON and TOML cannot hold is refused") {
  RunConfig c;
  c.data.path = "caf\xe9.tok";
  REQUIRE_THROWS_AS(resolve(c, 65), UsageError);
  c.data.path = "caf\u00e9.tok";
  REQUIRE_NOTHROW(resolve(c, 65));
}

// The values are those of the program before keys came later (commit 102301a): stores made then still know their runs.
TEST_CASE("keys that came later change no identity where they have their defaults") {
  RunConfig c;
  resolve(c, 256);
  REQUIRE(identity(c, "0123456789abcdef") == "fad680153580323cfb33756e773f0e90");
  RunConfig d;
  d.model.width = 96;
  d.model.heads = 3;
  d.train.schedule = "wsd";
  d.train.tokens = 1000000;
  resolve(d, 65);
  REQUIRE(identity(d, "0123456789abcdef") == "d97d6683bb11e2b5229831cddbd7e322");
}

TEST_CASE("keys that came later change the identity where they have not") {
  std::set<std::string> seen;
  RunConfig c;
  resolve(c, 256);
  seen.insert(identity(c, "d"));
  std::size_t later = 0;
  visit(c, [&](const ConfigKey& key, auto& member) {
    if (!key.came_later) return;
    auto& value = member;
    const auto before = value;
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, std::string>)
      value += "x";
    else if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, bool>)
      value = !value;
    else
      value += 1;
    INFO(key.name);
    REQUIRE(seen.insert(identity(c, "d")).second);
    value = before;
    ++later;
  });
  REQUIRE(later > 10);
}
