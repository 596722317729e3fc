-- What wrk asks and tells: bytes as they are, where its own summary rounds them.
wrk.headers["Accept"] = "application/vnd.oci.image.manifest.v1+json"

function done(summary)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write
  print(string.format("answered %d requests, %d bytes, %d failed", summary.requests, summary.bytes, failed))
end
