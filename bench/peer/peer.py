# What python-docx takes for the text of a CV, CPU, warm, in milliseconds:
#
#     peer.py CV.json TIMES

import io
import json
import sys
import time

import docx


def draw(cv):
    document = docx.Document()

    document.add_paragraph(cv["full_name"], style="Title")
    document.add_paragraph(cv["title"])
    document.add_paragraph(" | ".join([cv["email"], cv["phone"],
                                       cv["location"]]))
    document.add_heading("Summary", 1)
    document.add_paragraph(cv["summary"])
    document.add_heading("Experience", 1)

    for job in cv["experience"]:
        document.add_heading(job["title"], 2)
        document.add_paragraph(job["company"])

        for line in job["highlights"]:
            document.add_paragraph(line, style="List Bullet")

    document.add_heading("Skills", 1)

    for skill in cv["skills"]:
        paragraph = document.add_paragraph()
        paragraph.add_run(skill["name"] + ": ").bold = True
        paragraph.add_run(", ".join(skill["keywords"]))

    out = io.BytesIO()
    document.save(out)


with open(sys.argv[1], encoding="utf-8") as source:
    cv = json.load(source)

times = int(sys.argv[2])

for _ in range(5):
    draw(cv)

start = time.process_time()

for _ in range(times):
    draw(cv)

print("%.2f" % ((time.process_time() - start) * 1000 / times))
