# The Lyapunov exponent of the logistic map x -> r x (1 - x): the mean of ln |r (1 - 2 x)| along an orbit, negative where
# neighbouring orbits come together and positive in chaos. Source: May, "Simple mathematical models with very complicated
# dynamics", Nature 261 (1976); at r = 4 the exponent is ln 2.
#
#   awk -f lyapunov.awk -v r=3.7 -v steps=2000 -v seed=1
BEGIN {
    # The seed says where the orbit begins; 2^31 seeds lie evenly between 0 and 1.
    x = (seed + 0.5) / 2147483648
    for (i = 0; i < 200; i++) x = r * x * (1 - x)
    sum = 0
    for (i = 0; i < steps; i++) {
        slope = r * (1 - 2 * x)
        if (slope < 0) slope = -slope
        sum += log(slope > 1e-300 ? slope : 1e-300)
        x = r * x * (1 - x)
    }
    printf "{\"exponent\": %.17g, \"last\": %.17g}\n", sum / steps, x
}
