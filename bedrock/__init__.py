"""Everything known of Amazon Bedrock: models and prices, request bodies, wire format, outcomes, transports.

Only the transports import boto3; in a process that runs Locust, Locust must be imported before them.
"""
