-- What a run of wrk has come to, as one line of JSON. It is asked for after the run, and costs the run nothing.
done = function(summary, latency)
  local wrong = summary.errors
  local failed = wrong.connect + wrong.read + wrong.write + wrong.status + wrong.timeout
  print(string.format(
    '{"requests": %d, "failed": %d, "duration_us": %d, "p50_us": %d, "p95_us": %d, "p99_us": %d}',
    summary.requests, failed, summary.duration,
    latency:percentile(50), latency:percentile(95), latency:percentile(99)
  ))
end
