// A model that goes over the windows of a sample, a few at a time.
#pragma once
#include <functional>
#include <optional>
#include <vector>

#include "eval/evaluate.hpp"
#include "quant/running_model.hpp"

namespace loglog::eval {

// The text that a model is run on, cut into windows as its training did.
class WindowedText {
 public:
  // `split` is "validation", "train" or "all"; at most `tokens` targets, spread evenly, 0 for all. InputError when the file is damaged
  // or has more tokens than the model knows.
  WindowedText(const Path& file, const model::RunConfig& config, const std::string& split,
               std::uint64_t tokens);
  WindowedText(const WindowedText&) = delete;
  WindowedText& operator=(const WindowedText&) = delete;

  const data::TokenFile& file() const { return file_; }
  const data::FixedSample& sample() const { return sample_; }
  bool documents_apart() const { return documents_apart_; }  // data.documents = "mask"
  std::optional<double> bits_per_byte(double loss) const;    // nothing where the bytes of text are not known

 private:
  data::TokenFile file_;
  bool documents_apart_;
  data::FixedSample sample_;
};

class WindowPasses {
 public:
  // How many windows a pass has: enough that products run at full speed. The result has the same bits with any number.
  static model::BatchShape shape(const model::ModelConfig& config, const WindowedText& text,
                                 model::Index windows = 0);

  // `model` is made for passes of that shape; both outlive this object.
  WindowPasses(quant::RunningModel& model, const WindowedText& text);

  // Nothing when `stop` asked to break off.
  std::optional<Evaluation> run(const Stop& stop, const OnWindow& on_window, nn::Probe* probe = nullptr);

 private:
  quant::RunningModel& model_;
  const WindowedText& text_;
  std::vector<data::Token> inputs_, targets_;  // (B*T)
  std::vector<float> losses_;                  // (B*T)
  std::optional<PackedDocuments> documents_;
};

}  // namespace loglog::eval
