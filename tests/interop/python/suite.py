import boto3
import generations
generations.run(boto3.client("kinesis"), "generations")
