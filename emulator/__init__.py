"""A local Amazon Bedrock runtime endpoint that unmodified SDKs talk to, and that keeps the truth about what it sent."""
