#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "io/safetensors.hpp"
#include "model/checkpoint.hpp"
#include "support/trained_run.hpp"

using namespace loglog;
using namespace loglog::testing;
using nlohmann::json;

namespace {

json outliers(const std::string& options) {
  const Outcome run = trained_run().use("outliers", options + " --json");
  INFO(run.err);
  REQUIRE(run.code == 0);
  return json::parse(run.out);
}

std::string path_of(const std::string& name) {
  return (trained_run().folder.path() / name).string();
}

}  // namespace

TEST_CASE("a trained model's outliers as JSON, with the loss that eval gives") {
  const json r = outliers("--magnitude 2,6 --permutations 99");
  const Outcome eval = trained_run().use("eval", "--json");
  CHECK(r["loss"] == json::parse(eval.out)["loss"]);
  CHECK(r["positions"].get<int>() >= json::parse(eval.out)["tokens"].get<int>());
  REQUIRE(r["criteria"].size() == 3);
  CHECK(r["criteria"][0]["magnitude"] == 2);
  CHECK(r["criteria"][2]["relative"] == true);
  CHECK(r["criteria"][0]["reached"] >= r["criteria"][1]["reached"]);
  REQUIRE(r["states"].size() == 2 * 6 + 2);
  CHECK(r["states"][0]["name"] == "blocks.0.attention_stream");
  CHECK(r["states"][13]["name"] == "head");
  for (const json& state : r["states"]) {
    CHECK(state["kurtosis"].get<double>() >= 1);
    CHECK(std::abs(state["largest"]["largest"].get<double>()) >=
          std::abs(state["top"][0]["largest"].get<double>()));
    CHECK(state["largest"]["over_median"].get<double>() > 1);
    CHECK(state["top"][0]["rms"] >= state["top"][1]["rms"]);
  }
  // x = gain z + bias of what the norm makes: z of a LayerNorm has a mean square near 1 over all channels.
  const json& top = r["states"][1]["top"][0];
  CHECK(top["z_rms"].get<double>() < std::sqrt(32));
  CHECK(top.contains("gain"));
  REQUIRE(r["attention"]["layers"].size() == 2);
  CHECK(r["attention"]["top1"].get<double>() > 1.0 / 32);
  CHECK(r["attention"]["layers"][1]["heads_first_token"].size() == 4);
}

TEST_CASE("no byte depends on windows per pass or on threads") {
  const std::string options = "--zero --draws 2 --by-layer --permutations 99 --tokens 400 ";
  const json whole = outliers(options + "--threads 1");
  CHECK(whole == outliers(options + "--threads 2 --batch 1"));
  CHECK(whole == outliers(options + "--threads 1 --batch 4"));
}

TEST_CASE("lists of numbers leave the model to itself") {
  const Outcome run =
      run_program(trained_run().folder.path(),
                  "outliers --permutations 9 --tokens 64 --json --sites qkv --magnitude 3,2 " +
                      trained_run().run.string());
  INFO(run.err);
  REQUIRE(run.code == 0);
  CHECK(json::parse(run.out)["criteria"][1]["magnitude"] == 2);
  CHECK(json::parse(run.out)["sites"] == json::array({"qkv"}));
}

TEST_CASE("zeroing tells what it zeroed, and against what") {
  const json r =
      outliers("--zero --draws 3 --by-layer --top 2 --magnitude 1e6 --tokens 400 --permutations 9");
  const json& z = r["zeroing"];
  CHECK(z["chosen_by"] == "rms");  // nothing reaches a million
  CHECK(z["loss"] == r["loss"]);
  CHECK(z["top1"] == r["attention"]["top1"]);
  REQUIRE(z["outliers"]["dimensions"].size() == 2);
  CHECK(z["outliers"]["loss"] != r["loss"]);
  CHECK(z["random"].size() == 3);
  REQUIRE(z["by_layer"].size() == 2);
  CHECK(z["by_layer"][1]["layer"] == 1);
  CHECK(z["by_layer"][1]["dimensions"] == z["outliers"]["dimensions"]);
  REQUIRE(z["random_by_layer"].size() == 2);
  CHECK(z["random_by_layer"][0]["dimensions"] != z["outliers"]["dimensions"]);
  for (const auto& [name, layers] : {std::pair{"outliers", "by_layer"}, {"random", "random_by_layer"}})
    CHECK(z["top1_alone"][name].get<double>() ==
          Approx((z[layers][0]["top1"].get<double>() + z[layers][1]["top1"].get<double>()) / 2));
  // What comes before the last layer is the same with it alone changed; its attention is not.
  CHECK(z["by_layer"][1]["top1"] != r["attention"]["layers"][1]["top1"]);
}

TEST_CASE("the stream is zeroed where its sites are named") {
  const std::string options =
      "--sites attention_stream,mlp_stream --relative 0 --permutations 9 --tokens 400 ";
  const json stream = outliers(options + "--zero --draws 1 --top 2 --magnitude 1e6")["zeroing"];
  const json inputs = outliers(
      "--relative 0 --permutations 9 --tokens 400 --zero --draws 1 --top 2 --magnitude 1e6")["zeroing"];
  CHECK(stream["outliers"]["loss"] != stream["loss"]);
  CHECK(stream["loss"] == inputs["loss"]);
  CHECK(stream["outliers"]["loss"] != inputs["outliers"]["loss"]);
}

TEST_CASE("outliers by the criterion are zeroed where there are some") {
  const std::string options = "--tokens 400 --permutations 9 --relative 0 ";
  const json r = outliers(options + "--top 32");
  double largest = 0;
  for (const json& state : r["states"]) {
    if (state["site"] != "qkv" && state["site"] != "up") continue;
    for (const json& top : state["top"]) largest = std::max(largest, std::abs(top["largest"].get<double>()));
  }
  const json z = outliers(options + "--zero --draws 1 --layer-share 0 --position-share 0 --magnitude " +
                          json(largest).dump());
  REQUIRE(z["criteria"].size() == 1);
  REQUIRE(z["criteria"][0]["outliers"].size() == 1);
  CHECK(z["zeroing"]["chosen_by"] == "criterion");
  CHECK(z["zeroing"]["outliers"]["dimensions"][0] == z["criteria"][0]["outliers"][0]["dimension"]);
  CHECK(z["zeroing"]["random"][0]["dimensions"] != z["zeroing"]["outliers"]["dimensions"]);
}

TEST_CASE("a dump holds what was measured, and is read back") {
  const json r = outliers("--tokens 400 --permutations 9");
  const Outcome dumped =
      trained_run().use("outliers", "--tokens 400 --dump qkv -o " + path_of("acts.safetensors"));
  INFO(dumped.err);
  REQUIRE(dumped.code == 0);
  const io::SafetensorsFile file(path_of("acts.safetensors"));
  REQUIRE(file.tensors().size() == 2);
  REQUIRE(file.find("blocks.1.qkv") != nullptr);
  CHECK(file.find("blocks.1.qkv")->shape ==
        std::vector<std::uint64_t>{r["positions"].get<std::uint64_t>(), 32});
  const Outcome read =
      run_program(trained_run().folder.path(),
                  "outliers --permutations 9 --json --activations " + path_of("acts.safetensors"));
  REQUIRE(read.code == 0);
  const json given = json::parse(read.out);
  CHECK(given["states"][1]["kurtosis"] == r["states"][7]["kurtosis"]);
  CHECK(given["states"][1]["name"] == "blocks.1.qkv");
  CHECK(given["states"][1]["top"][0]["rms"] == r["states"][7]["top"][0]["rms"]);
  CHECK_FALSE(given.contains("loss"));
  const Outcome text =
      run_program(trained_run().folder.path(), "outliers --activations " + path_of("acts.safetensors"));
  CHECK(text.code == 0);
  CHECK_THAT(text.out, Catch::Contains("qkv 1"));
}

TEST_CASE("activations that are not finite are exit 5, and said") {
  const std::vector<float> x = {1, 2, NAN, 4, INFINITY, 6};
  io::write_safetensors(real_file_system(), path_of("nan.safetensors"),
                        std::vector<io::TensorValues>{{"x", {2, 3}, x}}, {});
  const Outcome run =
      run_program(trained_run().folder.path(), "outliers --json --activations " + path_of("nan.safetensors"));
  CHECK(run.code == 5);
  const json r = json::parse(run.out);
  CHECK(r["nonfinite"] == 2);
  // Means are over the other numbers: 1, 4; 2; 6.
  CHECK(r["states"][0]["nonfinite"] == 2);
  CHECK(r["states"][0]["top"][0]["rms"] == 6);
  CHECK(r["states"][0]["top"][1]["rms"].get<double>() == Approx(std::sqrt(8.5)));
  CHECK(r["states"][0]["top"][2]["rms"] == 2);
  CHECK(r["states"][0]["median_rms"].get<double>() == Approx(std::sqrt(8.5)));
  CHECK_THAT(run.err,
             Catch::Contains("2 activations are not finite; statistics of activations leave them out\n"));
}

TEST_CASE("a ladder of the checkpoints of a run has each as it was") {
  namespace fs = std::filesystem;
  const TrainedRun kept("--set train.keep_every=50");
  const std::string options = "--json --permutations 9 --tokens 400 ";
  const auto outliers_of = [&](const std::string& more) {
    const Outcome run = kept.use("outliers", options + more);
    INFO(run.err);
    REQUIRE(run.code == 0);
    return json::parse(run.out);
  };
  const json ladder = outliers_of("--checkpoints --resamples 50"), models = ladder["models"];
  const json in_int8 = outliers_of("--checkpoints --quantized --resamples 50")["models"];
  REQUIRE(models.size() == 3);
  REQUIRE(in_int8.size() == 3);
  for (std::size_t i = models.size(); i-- > 0;) {  // the run without those behind it
    const int step = 50 * static_cast<int>(i + 1);
    CAPTURE(step);
    for (const auto& file : fs::directory_iterator(kept.run / model::kCheckpointFolder))
      if (model::step_of_manifest(file.path().parent_path() / (file.path().stem().string() + ".json")) > step)
        fs::remove(file.path());
    CHECK(models[i]["step"] == step);
    CHECK(models[i]["D"] == step * 8 * 32);
    CHECK(models[i]["loss"] == outliers_of("")["loss"]);
    CHECK(in_int8[i]["loss"] == outliers_of("--quantized")["loss"]);
    if (i > 0) CHECK(models[i]["loss"] != models[i - 1]["loss"]);
  }
  REQUIRE(ladder["correlations"].size() == 8);
  CHECK(ladder["correlations"][2]["spearman"] == "nan");  // of one size
  // Checkpoints of one run are no sample of runs: there is no interval, and the fields say so.
  CHECK(std::abs(ladder["correlations"][0]["spearman"].get<double>()) <= 1);
  for (const json& c : ladder["correlations"]) {
    CHECK(c["low"].is_null());
    CHECK(c["high"].is_null());
    CHECK(c["resamples"] == 0);
  }
}

TEST_CASE("checkpoints of one run have correlations without intervals, in words") {
  const TrainedRun kept("--set train.keep_every=50");
  const Outcome run = kept.use("outliers", "--permutations 9 --tokens 400 --checkpoints");
  INFO(run.err);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.out,
             Catch::Contains("kurtosis         loss") && Catch::Contains("No intervals: models of one run"));
}

TEST_CASE("a ladder of the runs that a sweep kept") {
  const TrainedRun& trained = trained_run();
  const std::string file = trained.write("s.toml", R"(name = "s"
kind = "grid"
tokens = [8192]
seeds = [1]
[model]
context = 32
[train]
batch = 8
lr = 1e-2
[[size]]
name = "a"
layers = 1
width = 16
heads = 2
[[size]]
name = "b"
layers = 2
width = 16
heads = 2
[[size]]
name = "c"
layers = 2
width = 32
heads = 2
)");
  const auto run = [&](const std::string& arguments) {
    return run_program(trained.folder.path(), arguments);
  };
  const std::string store = path_of("s.db"), options = "outliers --json --permutations 9 --ladder " + store;
  const std::string sweep = "sweep run " + file + " --data " + path_of("text.tok") + " --store " + store;
  Outcome swept = run(sweep);
  INFO(swept.err);
  REQUIRE(swept.code == 0);
  const Outcome nothing = run(options);
  CHECK(nothing.code == 6);
  CHECK_THAT(nothing.err, Catch::Contains("3 without") && Catch::Contains("--keep"));
  std::filesystem::remove(store);
  swept = run(sweep + " --keep");
  REQUIRE(swept.code == 0);
  const Outcome ladder = run(options + " --resamples 200");
  INFO(ladder.err);
  REQUIRE(ladder.code == 0);
  const json r = json::parse(ladder.out);
  REQUIRE(r["models"].size() == 3);
  CHECK(r["without_checkpoint"] == 0);
  for (const json& model : r["models"]) {
    CHECK(model["kurtosis"].get<double>() >= 1);
    CHECK(model["loss"].get<double>() > 0);
  }
  CHECK(r["models"][0]["N"] < r["models"][2]["N"]);
  const json& c = r["correlations"];
  REQUIRE(c.size() == 8);
  const char* const with[] = {"loss", "N", "loss given N", "N given loss"};
  for (std::size_t i = 0; i < 8; ++i) {
    CHECK(c[i]["of"] == (i < 4 ? "kurtosis" : "max_to_median"));
    CHECK(c[i]["with"] == with[i % 4]);
    if (c[i]["spearman"].is_number()) CHECK(std::abs(c[i]["spearman"].get<double>()) <= 1 + 1e-12);
  }
  // Three runs: a resample that is one of them thrice has no correlation, 1 of 9.
  CHECK(c[0]["resamples"].get<int>() > 200 * 2 / 3);
  CHECK(c[0]["resamples"].get<int>() < 200);
  CHECK(c[0]["low"].get<double>() <= c[0]["spearman"].get<double>());
  CHECK(c[0]["high"].get<double>() >= c[0]["spearman"].get<double>());
  CHECK(run(options + " --resamples 200").out == ladder.out);
  const json none = json::parse(run(options + " --resamples 0").out)["correlations"];
  CHECK(none[0]["spearman"] == c[0]["spearman"]);
  CHECK(none[0]["low"].is_null());
}

TEST_CASE("text says the same, and pictures come with it") {
  const std::string picture = path_of("map.svg");
  const Outcome run = trained_run().use("outliers", "--permutations 9 --tokens 400");
  REQUIRE(run.code == 0);
  CHECK_THAT(run.out, Catch::Contains("attention_stream 0") && Catch::Contains(">= 6 x median RMS") &&
                          Catch::Contains("No massive activation"));
  const Outcome drawn = trained_run().use("outliers", "--permutations 9 --tokens 400 --svg " + picture);
  if (drawn.code == 6) {
    CHECK_THAT(drawn.err, Catch::Contains("gnuplot"));
    return;
  }
  REQUIRE(drawn.code == 0);
  CHECK_THAT(read_text(picture), Catch::Contains("</svg>") && Catch::Contains("dimension"));
}

TEST_CASE("what is not defined is a dash in text, without a unit") {
  const auto text_of = [](const std::vector<float>& x) {
    io::write_safetensors(real_file_system(), path_of("x.safetensors"),
                          std::vector<io::TensorValues>{{"x", {2, 3}, x}}, {});
    const Outcome run =
        run_program(trained_run().folder.path(), "outliers --activations " + path_of("x.safetensors"));
    CHECK(run.code == 0);
    CHECK_THAT(run.out, !Catch::Contains("nan") && !Catch::Contains("inf"));
    return run.out;
  };
  CHECK_THAT(text_of(std::vector<float>(6, 0)), Catch::Contains("0, - times the median magnitude"));
  CHECK_THAT(text_of({0, 0, 0, 0, 0, 1e-30f}), Catch::Contains("- times the median magnitude"));
  const TrainedRun shallow("--set model.layers=1");
  const Outcome run = shallow.use("outliers", "--checkpoints --permutations 9 --tokens 64");
  REQUIRE(run.code == 0);
  CHECK_THAT(run.out, !Catch::Contains("nan") && Catch::Contains("train.keep_every keeps more checkpoints"));
}

TEST_CASE("a signal ends the permutations, of a model and of a file") {
  const std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8};
  io::write_safetensors(real_file_system(), path_of("two.safetensors"),
                        std::vector<io::TensorValues>{{"x", {2, 2, 2}, x}}, {});
  for (const std::string& of :
       {trained_run().run.string() + " --tokens 64", "--activations " + path_of("two.safetensors")}) {
    const Outcome run = run_program(trained_run().folder.path(), "outliers --permutations 100000000 " + of,
                                    "timeout --preserve-status -k 60 5");
    INFO(of << run.err);
    CHECK(run.code == 143);  // 137: killed
    CHECK(run.out.empty());
  }
}

TEST_CASE("an array is known by its first bytes, whatever the file is called") {
  // numpy's format 1.0: magic, version, length of the header, the header, one row of two numbers.
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }\n";
  const float row[] = {1, 2};
  std::string bytes = "\x93NUMPY";
  bytes += '\x01', bytes += '\0', bytes += static_cast<char>(header.size()), bytes += '\0';
  bytes += header + std::string(reinterpret_cast<const char*>(row), sizeof row);
  for (const char* const name : {"array", "array.NPY", "array.npy"}) {
    const Outcome run = run_program(trained_run().folder.path(),
                                    "outliers --activations " + trained_run().write(name, bytes));
    INFO(name << run.err);
    CHECK(run.code == 0);
  }
}

TEST_CASE("what cannot be is refused by name") {
  const auto refused = [](const std::string& arguments, int code, const std::string& why) {
    const Outcome run = run_program(trained_run().folder.path(), "outliers " + arguments);
    INFO(arguments << "\n" << run.err);
    CHECK(run.code == code);
    CHECK_THAT(run.err, Catch::Contains(why));
    CHECK(run.out.empty());
  };
  const std::string model = trained_run().run.string() + " ";
  refused("", 2, "MODEL is missing");
  refused(model + "--activations x.npy", 2, "one of the two");
  refused(model + "--sites down", 2, "--sites 'down'");
  const TrainedRun parallel("--set model.block=parallel");
  refused(parallel.run.string() + " --sites attention_stream,mlp_stream --zero", 2,
          "passed the perceptron by");
  const TrainedRun attention("--set model.mlp=none");
  const std::string alone = attention.run.string() + " ";
  for (const char* const sites : {"up", "mlp_stream", "qkv,up"}) {
    refused(alone + "--sites " + sites, 2, "this model has no such site");
    refused(alone + "--checkpoints --sites " + sites, 2, "this model has no such site");
  }
  refused(alone + "--dump down -o x.safetensors", 2, "this model has no such site");
  const Outcome by_default = attention.use("outliers", "--json --permutations 9 --tokens 64");
  CHECK(json::parse(by_default.out)["sites"] == json::array({"qkv"}));
  refused(model + "--dump qkv", 2, "--out");
  refused(model + "--dump nothing -o x", 2, "nothing");
  refused(model + "--magnitude nan", 2, "magnitude");
  refused(model + "--magnitude , --tokens 500", 2, "--magnitude: '' must be a number");
  refused(model + "--magnitude 6,", 2, "--magnitude: '' must be a number");
  refused(model + "--sites qkv,", 2, "--sites: a name is missing");
  refused(model + "--sites qkv,qkv", 2, "--sites: qkv is named twice");
  refused(model + "--magnitude 6,3,6.0", 2, "--magnitude: 6 is named twice");
  refused(model + "--png ''", 2, "--png: a name is missing");
  for (const std::string unused :
       {"--magnitude 3", "--relative 2", "--layer-share 1", "--position-share 1", "--sites qkv", "--top 2",
        "--permutations 9", "--seed 2", "--checkpoints", "--zero", "--png x.png", "--svg x.svg", "--json"})
    refused(model + "--dump qkv -o x.safetensors " + unused, 2, unused.substr(0, unused.find(' ')));
  for (const std::string unused : {"--quantized", "--precision f32", "--batch 2", "--resamples 3"})
    refused("--activations x.npy " + unused, 2, unused.substr(0, unused.find(' ')));
  refused(model + "--resamples 3", 2, "--resamples");
  // A pipe without a reader would keep the program waiting.
  for (const std::string pipe : {"pipe", "pipe.png", "pipe.svg"})
    REQUIRE(::mkfifo(path_of(pipe).c_str(), 0600) == 0);
  refused(model + "--dump qkv -o " + path_of("pipe"), 2, "is a pipe or a device");
  refused(model + "--dump qkv -o /dev/null", 2, "is a pipe or a device");
  refused(model + "--png " + path_of("pipe.png"), 2, "is a pipe or a device");
  refused(model + "--svg " + path_of("pipe.svg"), 2, "is a pipe or a device");
  refused("--ladder " + path_of("pipe"), 4, "is no store of a sweep");
  refused("--ladder " + trained_run().run.string(), 4, "is no store of a sweep");
  refused(model + "--layer-share 1.5", 2, "layer-share");
  refused(model + "--draws 3", 2, "--zero");
  refused(model + "--zero --top 20 --magnitude 1e6 --permutations 9 --tokens 400", 2, "leave no 20 others");
  refused(model + "--png map.svg", 2, "must end in .png");
  refused("--activations x.npy --tokens 5", 2, "--tokens");
  refused("--activations missing.npy", 4, "missing.npy");
  refused("--ladder missing.db", 4, "missing.db");
  refused("missing", 4, "missing");
  const std::string text = trained_run().write("text.npy", "no array");
  refused("--activations " + text, 4, "this is no .npy file");
}
