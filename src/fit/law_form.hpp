// What the fitter needs to know of a law: how ln L depends on its parameters, where to look for them, and how they are called.
#pragma once
#include <array>
#include <span>
#include <string>
#include <vector>

#include "fit/dense.hpp"

namespace loglog::fit {

class Points;

// The box that keeps a fit inside numbers that mean something; touching it is reported, never hidden.
struct Bounds {
  Vector low{};
  Vector high{};
};

// ln L with its derivatives at a few points at once, so that loops run over points: [parameter][point], the Hessian's lower triangle by rows.
struct LossBatch {
  static constexpr int kSize = 64;
  using Lane = std::array<double, kSize>;
  bool with_hessian = true;                  // else it is left as it is
  int count = 0;                             // points
  std::array<const double*, kSize> log_x{};  // of each, one per variable
  Lane value;
  std::array<Lane, kMaxParameters> gradient;
  std::array<Lane, kMaxParameters*(kMaxParameters + 1) / 2> hessian;
};

class LawForm {
 public:
  virtual ~LawForm() = default;
  virtual int parameter_count() const = 0;
  virtual std::string parameter_name(int index) const = 0;
  virtual int floor_index() const { return -1; }  // parameter that is ln E, or -1

  // ln L at log_x (one per variable, natural logs). Where not null, gradient and Hessian with respect to theta. NaN where the law has no
  // positive loss.
  virtual double log_loss(const Vector& theta, const double* log_x, Vector* gradient,
                          Matrix* hessian) const = 0;

  // The same of batch.log_x. One point after the other where a form does not know better.
  virtual void log_losses(const Vector& theta, LossBatch& batch) const;

  // theta for log_x - centres turned into theta for log_x, and back. A law that is of another form in other units of x is not centred, and
  // theta stays what it is.
  virtual Vector restore(const Vector& theta, std::span<const double> centres) const = 0;
  virtual Vector centre(const Vector& theta, std::span<const double> centres) const = 0;
  virtual bool is_centred() const = 0;

  // Of theta for these points, centred where the form is.
  virtual Bounds bounds(const Points& points) const = 0;
  virtual std::vector<Vector> starts(const Points& points, std::span<const double> weights) const = 0;
  virtual int followed_starts() const { return 8; }  // the best of them, to the end
};

}  // namespace loglog::fit
