"""OpenTelemetry: spans of each request, if the packages of the extra `otel` are installed and switched on."""
