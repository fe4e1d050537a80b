/*
 * The optimizers' update rules for one element type: REAL and its functions under RULE(name). The
 * including source defines them. Factors that Keras computes in the weights' dtype are computed in
 * it here too, since 1 - beta_2 is where a float's rounding shows.
 */

typedef struct RULE(view) {
    int64_t n;
    REAL *w;
    const REAL *g, *q;
    REAL *slot[4];
    REAL rate, scale, limit, decay;
} RULE(view);

static RULE(view) RULE(view_of)(const kl_optimizer_step *s)
{
    return (RULE(view)){s->count,
                        s->value,
                        s->gradient,
                        s->squares,
                        {s->slots[0], s->slots[1], s->slots[2], s->slots[3]},
                        (REAL)s->learning_rate,
                        (REAL)s->scale,
                        (REAL)s->limit,
                        (REAL)s->decay};
}

static inline REAL RULE(gradient)(const RULE(view) * v, int64_t i)
{
    REAL g = v->g[i] * v->scale;
    g = g > v->limit ? v->limit : g;
    return g < -v->limit ? -v->limit : g;
}

/* The square of the gradient g of element i, or what stands for it. */
static inline REAL RULE(square)(const RULE(view) * v, int64_t i, REAL g)
{
    return v->q ? v->q[i] * v->scale * v->scale : g * g;
}

static inline REAL RULE(weight)(const RULE(view) * v, int64_t i)
{
    return v->w[i] - v->w[i] * v->decay;
}

static void RULE(sgd)(const kl_sgd_args *a, const kl_optimizer_step *s)
{
    const RULE(view) v = RULE(view_of)(s);
    REAL *restrict w = v.w, *restrict m = v.slot[0];
    const REAL momentum = (REAL)a->momentum;
    if (!m) {
        for (int64_t i = 0; i < v.n; i++)
            w[i] = RULE(weight)(&v, i) - v.rate * RULE(gradient)(&v, i);
        return;
    }
    for (int64_t i = 0; i < v.n; i++) {
        REAL g = RULE(gradient)(&v, i) * v.rate, x = RULE(weight)(&v, i);
        m[i] = m[i] * momentum - g;
        w[i] = a->nesterov ? x + (m[i] * momentum - g) : x + m[i];
    }
}

static void RULE(rmsprop)(const kl_rmsprop_args *a, const kl_optimizer_step *s)
{
    const RULE(view) v = RULE(view_of)(s);
    REAL *restrict w = v.w, *restrict velocity = v.slot[0];
    REAL *restrict momentum = a->momentum > 0 ? v.slot[1] : NULL;
    REAL *restrict average = a->centered ? v.slot[momentum ? 2 : 1] : NULL;
    const REAL rho = (REAL)a->rho, rest = (REAL)(1 - a->rho), epsilon = (REAL)a->epsilon;
    const REAL inertia = (REAL)a->momentum;
    for (int64_t i = 0; i < v.n; i++) {
        REAL g = RULE(gradient)(&v, i), x = RULE(weight)(&v, i);
        velocity[i] = rho * velocity[i] + rest * RULE(square)(&v, i, g);
        REAL below = velocity[i] + epsilon;
        if (average) {
            average[i] = rho * average[i] + rest * g;
            below = velocity[i] - average[i] * average[i] + epsilon;
        }
        REAL change = v.rate * g / SQRT(below);
        if (momentum)
            change = momentum[i] = inertia * momentum[i] + change;
        w[i] = x - change;
    }
}

static void RULE(adam)(const kl_adam_args *a, const kl_optimizer_step *s)
{
    const RULE(view) v = RULE(view_of)(s);
    const REAL step = (REAL)s->step;
    const REAL power_1 = POW((REAL)a->beta_1, step), power_2 = POW((REAL)a->beta_2, step);
    const REAL alpha = v.rate * SQRT(1 - power_2) / (1 - power_1);
    const REAL rest_1 = (REAL)(1 - a->beta_1), rest_2 = (REAL)(1 - a->beta_2);
    const REAL epsilon = (REAL)a->epsilon;
    REAL *restrict w = v.w, *restrict m = v.slot[0], *restrict u = v.slot[1];
    REAL *restrict most = a->amsgrad ? v.slot[2] : NULL;
    if (!most) {
        for (int64_t i = 0; i < v.n; i++) {
            REAL g = RULE(gradient)(&v, i), x = RULE(weight)(&v, i);
            m[i] += (g - m[i]) * rest_1;
            u[i] += (RULE(square)(&v, i, g) - u[i]) * rest_2;
            w[i] = x - m[i] * alpha / (SQRT(u[i]) + epsilon);
        }
        return;
    }
    for (int64_t i = 0; i < v.n; i++) {
        REAL g = RULE(gradient)(&v, i), x = RULE(weight)(&v, i);
        m[i] += (g - m[i]) * rest_1;
        u[i] += (RULE(square)(&v, i, g) - u[i]) * rest_2;
        most[i] = most[i] > u[i] ? most[i] : u[i];
        w[i] = x - m[i] * alpha / (SQRT(most[i]) + epsilon);
    }
}

static void RULE(adagrad)(const kl_adagrad_args *a, const kl_optimizer_step *s)
{
    const RULE(view) v = RULE(view_of)(s);
    REAL *restrict w = v.w, *restrict sum = v.slot[0];
    const REAL epsilon = (REAL)a->epsilon;
    for (int64_t i = 0; i < v.n; i++) {
        REAL g = RULE(gradient)(&v, i), x = RULE(weight)(&v, i);
        sum[i] += RULE(square)(&v, i, g);
        w[i] = x - v.rate * g / SQRT(sum[i] + epsilon);
    }
}

static void RULE(adadelta)(const kl_adadelta_args *a, const kl_optimizer_step *s)
{
    const RULE(view) v = RULE(view_of)(s);
    REAL *restrict w = v.w, *restrict squares = v.slot[0], *restrict changes = v.slot[1];
    const REAL rho = (REAL)a->rho, rest = (REAL)(1 - a->rho), epsilon = (REAL)a->epsilon;
    for (int64_t i = 0; i < v.n; i++) {
        REAL g = RULE(gradient)(&v, i), x = RULE(weight)(&v, i);
        squares[i] = rho * squares[i] + rest * RULE(square)(&v, i, g);
        REAL change = -(SQRT(changes[i] + epsilon) * g / SQRT(squares[i] + epsilon));
        changes[i] = rho * changes[i] + rest * (change * change);
        w[i] = x + v.rate * change;
    }
}

static void RULE(adamax)(const kl_adamax_args *a, const kl_optimizer_step *s)
{
    const RULE(view) v = RULE(view_of)(s);
    REAL *restrict w = v.w, *restrict m = v.slot[0], *restrict u = v.slot[1];
    const REAL rest = (REAL)(1 - a->beta_1), beta_2 = (REAL)a->beta_2, epsilon = (REAL)a->epsilon;
    const REAL below = 1 - POW((REAL)a->beta_1, (REAL)s->step);
    for (int64_t i = 0; i < v.n; i++) {
        REAL g = RULE(gradient)(&v, i), x = RULE(weight)(&v, i);
        REAL size = g < 0 ? -g : g, old = beta_2 * u[i];
        m[i] += (g - m[i]) * rest;
        u[i] = old > size ? old : size;
        w[i] = x - v.rate * m[i] / (below * (u[i] + epsilon));
    }
}

static void RULE(nadam)(const kl_nadam_args *a, const kl_optimizer_step *s)
{
    const RULE(view) v = RULE(view_of)(s);
    REAL *restrict w = v.w, *restrict m = v.slot[0], *restrict u = v.slot[1];
    const REAL step = (REAL)s->step, beta_1 = (REAL)a->beta_1, beta_2 = (REAL)a->beta_2;
    const REAL now = beta_1 * (1 - (REAL)0.5 * POW((REAL)0.96, step));
    const REAL next = beta_1 * (1 - (REAL)0.5 * POW((REAL)0.96, step + 1));
    const REAL product = (REAL)s->extra[0], product_next = product * next;
    const REAL below = 1 - POW(beta_2, step), epsilon = (REAL)a->epsilon;
    for (int64_t i = 0; i < v.n; i++) {
        REAL g = RULE(gradient)(&v, i), x = RULE(weight)(&v, i);
        m[i] += (g - m[i]) * (1 - beta_1);
        u[i] += (RULE(square)(&v, i, g) - u[i]) * (1 - beta_2);
        REAL ahead = next * m[i] / (1 - product_next) + (1 - now) * g / (1 - product);
        w[i] = x - ahead * v.rate / (SQRT(u[i] / below) + epsilon);
    }
}

static void RULE(ftrl)(const kl_ftrl_args *a, const kl_optimizer_step *s)
{
    const RULE(view) v = RULE(view_of)(s);
    REAL *restrict w = v.w, *restrict sum = v.slot[0], *restrict linear = v.slot[1];
    const REAL power = (REAL)-a->learning_rate_power, l1 = (REAL)a->l1_regularization_strength;
    const REAL l2 = (REAL)(a->l2_regularization_strength + a->beta / (2 * s->learning_rate));
    const REAL shrink = (REAL)(2 * a->l2_shrinkage_regularization_strength);
    for (int64_t i = 0; i < v.n; i++) {
        REAL g = RULE(gradient)(&v, i), x = RULE(weight)(&v, i);
        REAL grown = sum[i] + RULE(square)(&v, i, g), up = POW(grown, power);
        linear[i] += g + shrink * x - (up - POW(sum[i], power)) / v.rate * x;
        REAL clipped = linear[i] > l1 ? l1 : linear[i] < -l1 ? -l1 : linear[i];
        w[i] = (clipped - linear[i]) / (up / v.rate + 2 * l2);
        sum[i] = grown;
    }
}

static void RULE(lion)(const kl_lion_args *a, const kl_optimizer_step *s)
{
    const RULE(view) v = RULE(view_of)(s);
    REAL *restrict w = v.w, *restrict m = v.slot[0];
    const REAL beta_1 = (REAL)a->beta_1, beta_2 = (REAL)a->beta_2;
    for (int64_t i = 0; i < v.n; i++) {
        REAL g = RULE(gradient)(&v, i), x = RULE(weight)(&v, i);
        REAL way = m[i] * beta_1 + g * (1 - beta_1);
        w[i] = x - v.rate * (REAL)((way > 0) - (way < 0));
        m[i] = m[i] * beta_2 + g * (1 - beta_2);
    }
}

static void RULE(lamb)(const kl_lamb_args *a, const kl_optimizer_step *s)
{
    const RULE(view) v = RULE(view_of)(s);
    REAL *restrict w = v.w, *restrict m = v.slot[0], *restrict u = v.slot[1];
    const REAL below_1 = 1 - POW((REAL)a->beta_1, (REAL)s->step);
    const REAL below_2 = 1 - POW((REAL)a->beta_2, (REAL)s->step);
    const REAL rest_1 = (REAL)(1 - a->beta_1), rest_2 = (REAL)(1 - a->beta_2);
    const REAL epsilon = (REAL)a->epsilon;
    double weights = 0, changes = 0;
    for (int64_t i = 0; i < v.n; i++) {
        REAL g = RULE(gradient)(&v, i);
        w[i] = RULE(weight)(&v, i);
        m[i] += (g - m[i]) * rest_1;
        u[i] += (RULE(square)(&v, i, g) - u[i]) * rest_2;
        REAL change = m[i] / below_1 / (SQRT(u[i] / below_2) + epsilon);
        weights += (double)w[i] * (double)w[i];
        changes += (double)change * (double)change;
    }
    const REAL ratio = weights > 0 && changes > 0 ? (REAL)sqrt(weights / changes) : 1;
    for (int64_t i = 0; i < v.n; i++)
        w[i] -= ratio * v.rate * (m[i] / below_1 / (SQRT(u[i] / below_2) + epsilon));
}

/* Adafactor: rows' and columns' means of squared gradients stand for all of them. `rows` is what
   is left of the shape without the last axis, in groups of `height`. */
static void RULE(factor)(const RULE(view) * v, const kl_adafactor_args *a, REAL beta,
                         int64_t height, int64_t width)
{
    REAL *r = v->slot[1], *c = v->slot[2], *full = v->slot[0];
    const int64_t groups = v->n / (height * width);
    for (int64_t k = 0; k < groups; k++) {
        const int64_t base = k * height * width;
        double all = 0;
        for (int64_t i = 0; i < height; i++) {
            double sum = 0;
            for (int64_t j = 0; j < width; j++) {
                const int64_t at = base + i * width + j;
                REAL g = RULE(gradient)(v, at);
                sum += (double)(RULE(square)(v, at, g) + (REAL)a->epsilon_1);
            }
            r[k * height + i] = beta * r[k * height + i] + (1 - beta) * (REAL)(sum / (double)width);
            all += (double)r[k * height + i];
        }
        for (int64_t j = 0; j < width; j++) {
            double sum = 0;
            for (int64_t i = 0; i < height; i++) {
                const int64_t at = base + i * width + j;
                REAL g = RULE(gradient)(v, at);
                sum += (double)(RULE(square)(v, at, g) + (REAL)a->epsilon_1);
            }
            c[k * width + j] = beta * c[k * width + j] + (1 - beta) * (REAL)(sum / (double)height);
        }
        const REAL mean = (REAL)(all / (double)height);
        for (int64_t i = 0; i < height; i++)
            for (int64_t j = 0; j < width; j++)
                full[base + i * width + j] = r[k * height + i] / mean * c[k * width + j];
    }
}

static void RULE(adafactor)(const kl_adafactor_args *a, const kl_optimizer_step *s)
{
    const RULE(view) v = RULE(view_of)(s);
    REAL *w = v.w, *full = v.slot[0];
    const REAL step = (REAL)s->step, root = 1 / SQRT(step);
    const REAL rho = v.rate < root ? v.rate : root;
    const REAL beta = 1 - POW(step, (REAL)a->beta_2_decay);
    double size = 0, change = 0;
    for (int64_t i = 0; i < v.n; i++) {
        w[i] = RULE(weight)(&v, i);
        size += (double)w[i] * (double)w[i];
    }
    const REAL rms = (REAL)sqrt(size / (double)v.n), least = (REAL)a->epsilon_2;
    const REAL alpha = (rms > least ? rms : least) * rho;
    if (s->rank >= 2) {
        RULE(factor)(&v, a, beta, s->shape[s->rank - 2], s->shape[s->rank - 1]);
    } else {
        for (int64_t i = 0; i < v.n; i++) {
            REAL g = RULE(gradient)(&v, i);
            full[i] = beta * full[i] + (1 - beta) * (RULE(square)(&v, i, g) + (REAL)a->epsilon_1);
        }
    }
    for (int64_t i = 0; i < v.n; i++) {
        REAL u = RULE(gradient)(&v, i) / SQRT(full[i]);
        change += (double)u * (double)u;
    }
    const REAL over = (REAL)(sqrt(change / (double)v.n) / a->clip_threshold);
    const REAL factor = alpha / (over > 1 ? over : 1);
    for (int64_t i = 0; i < v.n; i++)
        w[i] -= factor * (RULE(gradient)(&v, i) / SQRT(full[i]));
}

/* The weights are beta_1 of the way from the steps' own sequence (the momentum) to its average. */
static void RULE(schedule_free_adamw)(const kl_schedule_free_adamw_args *a,
                                      const kl_optimizer_step *s)
{
    const RULE(view) v = RULE(view_of)(s);
    REAL *restrict w = v.w, *restrict m = v.slot[0], *restrict u = v.slot[1];
    const REAL step = (REAL)s->step, beta_1 = (REAL)a->beta_1, beta_2 = (REAL)a->beta_2;
    const REAL below = 1 - POW(beta_2, step), epsilon = (REAL)a->epsilon, part = 1 / step;
    REAL rate = v.rate;
    if (a->warmup_steps > 0 && step < (REAL)a->warmup_steps)
        rate *= step / (REAL)a->warmup_steps;
    for (int64_t i = 0; i < v.n; i++) {
        REAL g = RULE(gradient)(&v, i), x = RULE(weight)(&v, i);
        u[i] += (RULE(square)(&v, i, g) - u[i]) * (1 - beta_2);
        m[i] -= rate * g / (SQRT(u[i] / below) + epsilon);
        /* By the new momentum: so Keras computes on TensorFlow, whose variables are read late. */
        REAL average = (x - (1 - beta_1) * m[i]) / beta_1;
        average = (1 - part) * average + part * m[i];
        w[i] = (1 - beta_1) * m[i] + beta_1 * average;
    }
}
