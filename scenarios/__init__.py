"""What to send and when, and what it must achieve: scenarios, traffic, arrival patterns, objectives, the plan.

Pure: nothing here imports locust, gevent or boto3.
"""
